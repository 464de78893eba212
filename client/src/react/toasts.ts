import { useEffect, useMemo, useRef } from 'react'
import { type BadgeOptions, bindBadge } from '../badge.ts'
import { followPush } from '../push.ts'
import { createToasts, type ToastOptions, type ToastsSnapshot } from '../toasts.ts'
import { useRavenpost } from './context.ts'
import { useStore } from './inbox.ts'

/**
 * Shows toasts for live notifications. `isOnScreen` may change at each render. A change of `limit` or `seconds` makes new
 * toasts.
 */
export function useToasts(options: ToastOptions = {}): ToastsSnapshot & {
  dismiss(id: string): void
  dismissAll(): void
  pause(isPaused: boolean): void
} {
  const client = useRavenpost()
  const { limit, seconds } = options
  const latest = useRef(options)
  useEffect(() => {
    latest.current = options
  })
  const { getSnapshot, subscribe, ...actions } = useMemo(() => {
    const isOnScreen: ToastOptions['isOnScreen'] = (item) => latest.current.isOnScreen?.(item) ?? false
    // Passes no function if there is none, so that the default applies.
    return createToasts(client, { limit, seconds, isOnScreen: latest.current.isOnScreen && isOnScreen })
  }, [client, limit, seconds])
  return { ...useStore({ getSnapshot, subscribe }), ...actions }
}

/** Shows the count in the title, the favicon and the app badge while mounted. */
export function useBadge({ title, favicon, app, count }: BadgeOptions = {}): void {
  const client = useRavenpost()
  useEffect(() => bindBadge(client, { title, favicon, app, count }), [client, title, favicon, app, count])
}

/** Handles clicks on push messages while mounted. */
export function usePushClicks(navigate: (url: string) => void): void {
  const client = useRavenpost()
  const latest = useRef(navigate)
  useEffect(() => {
    latest.current = navigate
  })
  useEffect(() => followPush(client, (url) => latest.current(url)), [client])
}
