import { type ReactNode, useEffect, useRef, useState } from 'react'
import type { InboxItem, ToastOptions } from '../index.ts'
import { useToasts } from '../react/toasts.ts'
import { RavenpostUi, type UiOptions, useUi } from './context.tsx'
import { Icon } from './icons.tsx'
import { Faces } from './item.tsx'

/** Minimum milliseconds between two sentences, because screen readers stop a sentence when the next one arrives. */
const SAID_MS = 3000

export type ToasterProps = UiOptions &
  ToastOptions & {
    /** Called when the user opens the toasts beyond the limit, for example to open the inbox. They are dismissed in any case. */
    onMore?(): void
  }

/** Shows toasts and announces them to screen readers: politely, critical ones at once. Mount it once, from the start. */
export function Toaster({ limit, seconds, isOnScreen, onMore, ...options }: ToasterProps): ReactNode {
  return (
    <RavenpostUi {...options}>
      <Toasts limit={limit} seconds={seconds} isOnScreen={isOnScreen} onMore={onMore} />
    </RavenpostUi>
  )
}

function Toasts({ onMore, ...options }: ToastOptions & Pick<ToasterProps, 'onMore'>): ReactNode {
  const { part, strings, open } = useUi()
  const { toasts, more, dismiss, dismissAll, pause } = useToasts(options)
  const said = useSaid(toasts)
  return (
    <section
      {...part('toaster')}
      aria-label={strings.toasts}
      onPointerEnter={() => pause(true)}
      onPointerLeave={() => pause(false)}
      onFocus={() => pause(true)}
      onBlur={() => pause(false)}
    >
      {/* A live region must exist before its text; otherwise screen readers ignore the text. */}
      <p {...part('hidden')} role="status">
        {said.polite}
      </p>
      <p {...part('hidden')} role="alert">
        {said.critical}
      </p>
      {toasts.map((item) => (
        <div
          key={item.id}
          {...part('toast')}
          data-id={item.id}
          data-severity={item.severity}
          data-priority={item.priority}
        >
          <Faces item={item} />
          <a
            {...part('link')}
            href={item.url ?? undefined}
            tabIndex={item.url === null ? 0 : undefined}
            onClick={(event) => open(event, item)}
          >
            <span {...part('heading')} dir="auto">
              {item.title || item.fallback}
            </span>
            {item.body !== null && (
              <span {...part('meta')} dir="auto">
                {item.body}
              </span>
            )}
          </a>
          <button
            {...part('button')}
            type="button"
            aria-label={`${strings.dismiss}: ${item.title}`}
            onClick={() => dismiss(item.id)}
          >
            <Icon name="close" />
          </button>
        </div>
      ))}
      {more > 0 && (
        <button
          {...part('more')}
          type="button"
          onClick={() => {
            dismissAll()
            onMore?.()
          }}
        >
          {strings.moreToasts(more)}
        </button>
      )}
    </section>
  )
}

/** Text for screen readers: the latest toast, and the number of toasts since the last sentence. */
function useSaid(toasts: readonly InboxItem[]): { polite: string; critical: string } {
  const { strings } = useUi()
  const [said, setSaid] = useState({ polite: '', critical: '' })
  const known = useRef(new Map<string, string>())
  const waiting = useRef({ count: 0, latest: '' })
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  useEffect(() => {
    for (const { id, title, updatedAt, priority } of toasts) {
      if (known.current.get(id) === updatedAt) continue
      known.current.set(id, updatedAt)
      if (priority === 'critical') setSaid((before) => ({ ...before, critical: title }))
      else waiting.current = { count: waiting.current.count + 1, latest: title }
    }
    if (waiting.current.count === 0 || timer.current) return
    const say = () => {
      const { count, latest } = waiting.current
      timer.current = undefined
      if (count === 0) return
      waiting.current = { count: 0, latest: '' }
      setSaid((before) => ({ ...before, polite: strings.arrived(count, latest) }))
      timer.current = setTimeout(say, SAID_MS)
    }
    say()
  }, [toasts, strings])
  useEffect(() => () => clearTimeout(timer.current), [])
  return said
}
