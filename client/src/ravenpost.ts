import type { ConnectionSnapshot } from './link.ts'
import type { InboxList } from './lists.ts'
import type { Action, InboxItem } from './overlay.ts'
import type { PreferencesStore } from './preferences.ts'
import type { Changes, Notification, ServerFrame, Why } from './protocol.ts'
import type { Filter } from './ranges.ts'
import type { WebSocketLike } from './socket.ts'
import type { Store } from './stores.ts'
import type { LiveCounts, Watch } from './watching.ts'

export type { ConnectionSnapshot, ConnectionStatus } from './link.ts'
export type { InboxList, InboxSnapshot } from './lists.ts'
export type { Action, InboxItem } from './overlay.ts'
export type { PreferencesSnapshot, PreferencesStore } from './preferences.ts'
export type { Filter } from './ranges.ts'
export type { WebSocketLike } from './socket.ts'
export type { Store } from './stores.ts'
export type { LiveCounts, Watch } from './watching.ts'

export type Options = {
  /** Of the server, with its base path: https://example.org or https://example.org/api. */
  url: string
  /** Of its websocket, where that is not `url` + /ws. */
  socketUrl?: string
  /**
   * A valid access token. `renew` is true when the last one was refused or is about to expire. Never called twice at the same
   * time, and by one tab only. When it throws, it is called again later; `SignedOut` ends the client instead.
   */
  getToken(request: { renew: boolean }): string | Promise<string>
  /** Of the user; lets the client show the stored inbox before it has a token. Without it, the token's subject is used. */
  userId?: string
  /** Notifications in a page; 30 by default, 100 at most. */
  pageSize?: number
  /** Instead of the WebSocket of the platform. */
  openSocket?(url: string, protocol: string): WebSocketLike
}

type FrameOf<T extends ServerFrame['type']> = Extract<ServerFrame, { type: T }>

export type CountsSnapshot = {
  unreadCount: number
  /** For a badge that goes out when the bell is opened. */
  unseenCount: number
  /** Actions of the user that wait for the server. */
  pendingCount: number
  /** State that the list and the counts are of; undefined before the first answer. */
  state: string | undefined
}

export type Events = {
  /** A notification is new or has changed. `previous`: as it was held. `grew`: new, or more than before. `live`: it came after the catch-up. */
  notification: { notification: Notification; previous: Notification | undefined; grew: boolean; live: boolean }
  /** It was deleted, retracted, or has expired. */
  removed: { id: string }
  /** The list was fetched anew: what was held before says nothing any more. */
  reset: undefined
  /** An action was refused by the server, and is shown no longer. */
  refused: { action: Action; error: Error }
  /** New and removed comments of the watched post. */
  comments: FrameOf<'comments'>
  /** How many posts of the watched feed are newer than the watch. */
  feed: FrameOf<'feed'>
  /** Every frame as it came, for devtools. */
  frame: { frame: ServerFrame; at: number }
  /** Every change of the held inbox, from the socket or from REST. */
  changes: Changes
}

/** Actions show at once, wait for the network if need be, and resolve when the server has confirmed them; see `Events.refused`. */
export type Ravenpost = {
  readonly options: Readonly<Options>
  /** Connects, again and again, until `stop`. */
  start(): void
  stop(): void
  /** Stops in all tabs and forgets what is stored of this user. */
  signOut(): Promise<void>

  /** The inbox: neither archived nor filtered. */
  readonly inbox: InboxList
  /** One list per filter: the same object for the same filter. */
  list(filter: Filter): InboxList
  readonly counts: Store<CountsSnapshot>
  readonly connection: Store<ConnectionSnapshot>
  /** Calls back after each change of what is held or shown, until the function it returns is called. */
  subscribe(listener: () => void): () => void
  /** As shown; undefined when it is not held. The same object until it changes. */
  get(id: string): InboxItem | undefined
  /** @throws {RavenpostError} 404 */
  fetchNotification(id: string): Promise<Notification>

  read(ids: readonly string[]): Promise<void>
  unread(ids: readonly string[]): Promise<void>
  archive(ids: readonly string[]): Promise<void>
  unarchive(ids: readonly string[]): Promise<void>
  delete(ids: readonly string[]): Promise<void>
  /** Everything that this client knows of; nothing that comes later, even if this waits for the network. */
  readAll(): Promise<void>
  seen(): Promise<void>

  readonly preferences: PreferencesStore
  why(id: string): Promise<Why>

  /** Live until the function it returns is called. */
  watch(wanted: Watch): () => void
  /** The latest of a watched post. */
  readonly liveCounts: Store<ReadonlyMap<string, LiveCounts>>

  on<E extends keyof Events>(event: E, listener: (value: Events[E]) => void): () => void

  /** Tries to connect now. */
  retryNow(): void
  /** An authorized request; the token is renewed once when it is refused. `path` begins with a slash. @throws {RavenpostError} when the answer is not 2xx */
  request<T>(method: string, path: string, body?: unknown): Promise<T>
  /** A valid access token, for requests of the application: another one than that which was refused. Only one tab renews it. */
  token(refused?: string): Promise<string>
}
