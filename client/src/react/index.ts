import type { ReactNode } from 'react'
import type { Preferences, Why } from '../protocol.ts'
import type {
  ConnectionSnapshot,
  Filter,
  InboxItem,
  InboxSnapshot,
  LiveCounts,
  PreferencesSnapshot,
  Ravenpost,
} from '../ravenpost.ts'

const construction = (): never => {
  throw new Error('under construction')
}

/** Starts the client while it is mounted; makes no client of its own. */
export function RavenpostProvider(_: { client: Ravenpost; children?: ReactNode }): ReactNode {
  return construction()
}
export function useRavenpost(): Ravenpost {
  return construction()
}
export function useInbox(_filter?: Filter): InboxSnapshot & { loadMore(): Promise<void>; refresh(): Promise<void> } {
  return construction()
}
export function useUnreadCount(): number {
  return construction()
}
export function useUnseenCount(): number {
  return construction()
}
export function useNotification(_id: string): InboxItem | undefined {
  return construction()
}
/** `troubled`: not live for 2 seconds, so that it is worth showing. */
export function useConnection(): ConnectionSnapshot & { troubled: boolean; retryNow(): void } {
  return construction()
}
/** Live while mounted; a post is missing until its first counts have come. */
export function useLiveCounts(_posts: readonly string[]): ReadonlyMap<string, LiveCounts> {
  return construction()
}
export function usePreferences(): PreferencesSnapshot & { save(preferences: Preferences): Promise<void> } {
  return construction()
}
export function useWhy(_id: string): { why: Why | undefined; error: Error | undefined } {
  return construction()
}

export type PushState = 'unsupported' | 'loading' | 'off' | 'denied' | 'on'
/** Web push in this browser. `enable` asks the user: only after a click. */
export function usePush(_options: { serviceWorker: string }): {
  state: PushState
  error: Error | undefined
  enable(): Promise<void>
  disable(): Promise<void>
} {
  return construction()
}

export type ToastOptions = {
  /** Three by default; the others are counted in `more`. */
  limit?: number
  /** Seconds that a toast stays; 6 by default. A critical one stays until it is dismissed. */
  seconds?: number
  /** No toast for what is on screen: by default when `url` is the page's. */
  isOnScreen?(notification: InboxItem): boolean
}
export function useToasts(_options?: ToastOptions): {
  toasts: readonly InboxItem[]
  more: number
  dismiss(id: string): void
  dismissAll(): void
  /** While true, no toast runs out: for hover and focus. */
  pause(paused: boolean): void
} {
  return construction()
}

/** Title, favicon dot and app badge of the page, by the unread count. */
export function useBadge(_options?: { title?: boolean; favicon?: boolean; app?: boolean }): void {}
