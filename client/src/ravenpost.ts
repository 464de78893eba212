import type { ConnectionSnapshot } from './link.ts'
import type { InboxList } from './lists.ts'
import type { Action, InboxItem } from './overlay.ts'
import type { Changes, Notification, ServerFrame, Why } from './protocol.ts'
import type { Filter } from './ranges.ts'
import type { WebSocketLike } from './socket.ts'
import type { Store } from './stores.ts'
import type { LiveCounts, Watch, Watched } from './watching.ts'

export type { ConnectionSnapshot, ConnectionStatus } from './link.ts'
export type { InboxList, InboxSnapshot } from './lists.ts'
export type { Action, InboxItem } from './overlay.ts'
export type { Filter } from './ranges.ts'
export type { WebSocketLike } from './socket.ts'
export type { Store } from './stores.ts'
export type { LiveCounts, Watch, Watched } from './watching.ts'

export type Options = {
  /** URL of the server, with its base path: https://example.org or https://example.org/api. */
  url: string
  /** URL of the websocket, if it is not `url` + /ws. */
  socketUrl?: string
  /**
   * Returns a valid access token. `renew` is true if the last one was refused or is about to expire. Calls do not overlap, and
   * only one tab calls. After an error the client calls again later; after `SignedOut` it ends.
   */
  getToken(request: { renew: boolean }): string | Promise<string>
  /** Id of the user. With it, the client shows the stored inbox before it has a token. Default: the subject of the token. */
  userId?: string
  /** Notifications per page. Default: 30; maximum: 100. */
  pageSize?: number
  /** Opens a websocket with another implementation than the platform's. */
  openSocket?(url: string, protocol: string): WebSocketLike
}

type FrameOf<T extends ServerFrame['type']> = Extract<ServerFrame, { type: T }>

export type CountsSnapshot = {
  unreadCount: number
  /** Count for a badge that becomes 0 when the bell opens. */
  unseenCount: number
  /** Number of actions that wait for the server. */
  pendingCount: number
  /** False if these actions are lost when the page closes, because the browser stores nothing. */
  isStored: boolean
  /** State of the list and the counts. Undefined before the first response. */
  state: string | undefined
}

export type Events = {
  /**
   * A notification is new or changed. `previous`: the former version. `grew`: it is new, or its content was extended. `live`:
   * it arrived after the catch-up.
   */
  notification: { notification: Notification; previous: Notification | undefined; grew: boolean; live: boolean }
  /** A notification was deleted, retracted, or expired. */
  removed: { id: string }
  /** The list was fetched again. Everything held before is invalid. */
  reset: undefined
  /** The server refused an action, which is therefore no longer shown. */
  refused: { action: Action; error: Error }
  /** New and removed comments of the watched post. */
  comments: FrameOf<'comments'>
  /** Number of posts in the watched feed since the watch began. */
  feed: FrameOf<'feed'>
  /** The server begins to send comments or feed. Fetch them again now: changes before that are in neither. */
  watched: Watched
  /** Every received frame, for developer tools. */
  frame: { frame: ServerFrame; at: number }
  /** Every change of the held inbox, from the socket or from REST. */
  changes: Changes
}

/**
 * An action shows at once, waits for the network if necessary, and resolves when the server confirms it. See also
 * `Events.refused`.
 */
export type Ravenpost = {
  readonly options: Readonly<Options>
  /** Connects, and reconnects after each loss, until `stop`. */
  start(): void
  stop(): void
  /** Stops the client in all tabs and deletes everything stored about this user. */
  signOut(): Promise<void>

  /** The inbox without archived and filtered notifications. */
  readonly inbox: InboxList
  /** The list for a filter. The same filter returns the same object. */
  list(filter: Filter): InboxList
  readonly counts: Store<CountsSnapshot>
  readonly connection: Store<ConnectionSnapshot>
  /** Calls `listener` after each change of the held or shown data. Returns a function that unsubscribes. */
  subscribe(listener: () => void): () => void
  /** The notification as shown, or undefined if it is not held. It stays the same object until it changes. */
  get(id: string): InboxItem | undefined
  /** @throws {RavenpostError} 404 */
  fetchNotification(id: string): Promise<Notification>

  read(ids: readonly string[]): Promise<void>
  unread(ids: readonly string[]): Promise<void>
  archive(ids: readonly string[]): Promise<void>
  unarchive(ids: readonly string[]): Promise<void>
  delete(ids: readonly string[]): Promise<void>
  /** Marks everything this client knows as read. Later notifications stay unread, even if the request waits for the network. */
  readAll(): Promise<void>
  seen(): Promise<void>

  why(id: string): Promise<Why>

  /** Subscribes to live updates. Returns a function that unsubscribes. */
  watch(wanted: Watch): () => void
  /** Latest counts of each watched post. */
  readonly liveCounts: Store<ReadonlyMap<string, LiveCounts>>

  on<E extends keyof Events>(event: E, listener: (value: Events[E]) => void): () => void

  /** Connects now instead of waiting for the next attempt. */
  retryNow(): void
  /**
   * Sends an authorized request, and renews a refused token once. `path` begins with a slash.
   * @throws {RavenpostError} the response is not 2xx
   */
  request<T>(method: string, path: string, body?: unknown): Promise<T>
  /** Returns a valid access token for requests of the application, different from `refused`. Only one tab renews it. */
  token(refused?: string): Promise<string>
}
