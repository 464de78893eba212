/** Payload of a push message. */
export type PushMessage = {
  id: string
  state: string
  unreadCount: number
  title: string
  body: string | null
  url: string | null
  tag: string
  silent: boolean
  /** Tags of shown messages that are read or retracted. */
  close: string[]
}

export type PushOptions = {
  /** Of the picture shown with each. */
  icon?: string
  badge?: string
  /** Where a message without `url` leads; / by default. */
  home?: string
}

/** For the application's own service worker: shows, replaces and closes push messages, opens them by click, keeps the app badge. */
export function handlePush(_worker: unknown, _options: PushOptions = {}): void {
  throw new Error('under construction')
}
