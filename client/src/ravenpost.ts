import type { Changes, Comment, Notification, Preferences, PreferencesAnswer, ServerFrame, Why } from './protocol.ts'

/** A value that changes: what `useSyncExternalStore` takes. A snapshot stays the same object until something in it changes. */
export type Store<T> = {
  getSnapshot(): T
  /** Calls back after each change, until the function it returns is called. */
  subscribe(listener: () => void): () => void
}

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
}

/** Which notifications a list holds. `filtered`: what the user's policy for strangers held back; not live. */
export type Filter = {
  filter?: 'all' | 'unread' | 'archived' | 'filtered'
  type?: string | readonly string[]
  priority?: Notification['priority']
}

export type InboxSnapshot = {
  /** Newest content first. An item stays the same object until it changes. */
  items: readonly InboxItem[]
  /** `loading` only where nothing can be shown yet. */
  status: 'loading' | 'ready' | 'error'
  error: Error | undefined
  /** Whether older ones are on the server. */
  hasMore: boolean
  isLoadingMore: boolean
}

/** `pending`: shown as the user wants it; the server has not confirmed it yet. */
export type InboxItem = Notification & { pending?: true }

export type InboxList = Store<InboxSnapshot> & {
  /** Fetches the next older page; a second call while one is under way is the same call. */
  loadMore(): Promise<void>
  /** Fetches the first page again; for `error`, and for `filtered`, which is not live. */
  refresh(): Promise<void>
}

export type CountsSnapshot = {
  unreadCount: number
  /** For a badge that goes out when the bell is opened. */
  unseenCount: number
  /** Actions of the user that wait for the server. */
  pendingCount: number
  /** State that the list and the counts are of; undefined before the first answer. */
  state: string | undefined
}

export type ConnectionStatus =
  /** Before `start`, and after `stop`. */
  | 'stopped'
  | 'connecting'
  /** Connected; what came while away is being sent. */
  | 'catchingUp'
  | 'live'
  /** The connection is lost; the next attempt is at `retryAt`. */
  | 'waiting'
  /** The browser says that there is no network. */
  | 'offline'
  /** The session has ended: signing in makes a new client. */
  | 'signedOut'
  /** The server refuses this client for good; `closeCode` is why. */
  | 'refused'

export type ConnectionSnapshot = {
  status: ConnectionStatus
  /** When it last was live, in milliseconds since 1970; undefined when it never was. */
  liveUntil: number | undefined
  /** Time of the next attempt, in milliseconds since 1970. */
  retryAt: number | undefined
  closeCode: number | undefined
  /** Whether this tab holds the socket. */
  isLeader: boolean
}

export type LiveCounts = { likeCount: number; commentCount: number }

/** What one part of a page wants live; `watch` joins the wishes of all parts and all tabs. */
export type Watch = {
  /** Live counts of these posts; 200 in all tabs together. */
  posts?: readonly string[]
  /** New comments of one post; the latest wish counts. */
  comments?: string
  /** How many posts are newer than now; the latest wish counts. */
  feed?: 'all' | 'following'
}

export type Events = {
  /** A notification is new or has changed. `previous`: as it was held. `live`: it came after the catch-up. */
  notification: { notification: Notification; previous: Notification | undefined; live: boolean }
  /** It was deleted, retracted, or has expired. */
  removed: { id: string }
  /** The list was fetched anew: what was held before says nothing any more. */
  reset: undefined
  /** An action was refused by the server, and is shown no longer. */
  refused: { action: Action; error: Error }
  comments: { postId: string; comments: Comment[]; removes: string[] }
  feed: { feed: 'all' | 'following'; newer: number }
  /** Every frame as it came, for devtools. */
  frame: { frame: ServerFrame; at: number }
  /** Every change of the held inbox, from the socket or from REST. */
  changes: Changes
}

/** What a user does to notifications. */
export type Action =
  | { type: 'read' | 'unread' | 'archive' | 'unarchive' | 'delete'; ids: string[] }
  | { type: 'readAll' | 'seen'; upTo: string }

export type PreferencesSnapshot = {
  /** As shown: with what is being saved. */
  preferences: Preferences | undefined
  effective: PreferencesAnswer['effective'] | undefined
  status: 'loading' | 'ready' | 'saving' | 'error'
  error: Error | undefined
}

export type PreferencesStore = Store<PreferencesSnapshot> & {
  load(): Promise<void>
  /** Shows the document at once, and goes back to the server's when it is refused. */
  save(preferences: Preferences): Promise<void>
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
  /** As shown; undefined when it is not held. */
  get(id: string): InboxItem | undefined
  /** Held, or fetched. @throws {RavenpostError} 404 */
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
}
