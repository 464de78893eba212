import { RavenpostError, SignedOut } from './errors.ts'
import { HeldInbox, type Page } from './held-inbox.ts'
import { type ConnectionSnapshot, Link } from './link.ts'
import { Lists } from './lists.ts'
import { type Action, type Intent, Overlay } from './overlay.ts'
import type { Changes, Notification, ServerFrame } from './protocol.ts'
import { Queue } from './queue.ts'
import type { CountsSnapshot, Events, Options, Ravenpost } from './ravenpost.ts'
import { createRequest, createTokens, type Tokens } from './rest.ts'
import type { WebSocketLike } from './socket.ts'
import { epochOf, numberOf } from './states.ts'
import { createEmitter, createStore, type Emitter, kept, type Settable } from './stores.ts'
import { type Watch, type Watched, Watching } from './watching.ts'

/** Message to the other tabs about something that happened in this one. */
export type News =
  | { type: 'connection'; connection: ConnectionSnapshot; state: string | undefined }
  | { type: 'frame'; frame: ServerFrame }
  | { type: 'list' }
  | { type: 'intent'; intent: Intent }
  | { type: 'confirmed'; keys: string[]; state: string }
  | { type: 'refused'; key: string; status: number; code: string; message: string }
  | { type: 'watch'; wish: Watch }
  | { type: 'watched'; began: Watched }
  | { type: 'token'; token: string }
  | { type: 'retry' }
  | { type: 'signedOut' }

/** The parts of the client that its companion uses. */
export type Host = {
  options: Options
  inbox: HeldInbox
  overlay: Overlay
  link: Link
  queue: Queue
  watching: Watching
  tokens: Tokens
  events: Emitter<Events>
  connection: Settable<ConnectionSnapshot>
  isLeader: Settable<boolean>
  lead(isLeader: boolean): void
  ready(): Promise<void>
  catchUp(): Promise<void>
  take(frame: ServerFrame): Promise<void>
  changed(): void
  /** Called with false if an action could not be stored. */
  stored(isStored: boolean): void
  confirmed(keys: string[], state: string): void
  refused(key: string, error: RavenpostError): void
  forget(): Promise<void>
  report(part: Partial<ConnectionSnapshot>): void
}

/** Extends the core in a browser: stores the inbox on disk and shares one socket between tabs. */
export type Companion = {
  /** Shows the stored inbox. Resolves with true if the tabs elect a leader; `lead` is called for it. */
  start(signal: AbortSignal): Promise<boolean>
  stop(): void
  /** Deletes everything stored. */
  wipe(): Promise<void>
  send(news: News): void
  changed(settled: Intent[]): void
  /** Asks the leading tab for a token. Undefined if this tab must call `getToken` itself. */
  token(refused: string | undefined): Promise<string | undefined>
  /** Resolves when another tab has sent its inbox, or when none answers in time. */
  inbox(): Promise<void>
  /** True if the held inbox belongs to a different user than the one signed in. */
  isOthers(userId: string): boolean
}

/** Maximum wait for the frame that shows a confirmed action, in milliseconds. */
const CONFIRMED_MS = 3000
const PAGE = 100
const STOPPED: ConnectionSnapshot = {
  status: 'stopped',
  liveUntil: undefined,
  retryAt: undefined,
  closeCode: undefined,
  missing: undefined,
  isLeader: false,
}

export function createClient(options: Options, accompany?: (host: Host) => Companion): Ravenpost {
  const { url, pageSize = 30, socketUrl = `${url.replace(/^http/, 'ws')}/ws` } = options
  const open = options.openSocket ?? ((address, protocol): WebSocketLike => new WebSocket(address, protocol))
  const inbox = new HeldInbox()
  const overlay = new Overlay()
  const events = createEmitter<Events>()
  const connection = createStore(STOPPED)
  let isStored = accompany !== undefined
  const counts = createStore<CountsSnapshot>({
    unreadCount: 0,
    unseenCount: 0,
    pendingCount: 0,
    isStored,
    state: undefined,
  })
  const version = createStore(0)
  const isLeader = createStore(false)
  const isRunning = createStore(false)
  const waiting = new Map<string, { resolve(): void; reject(error: Error): void }>()
  let run: AbortController | undefined

  const tokens = createTokens(getToken)
  const request = createRequest(url, tokens)
  const ready = once(fetchFirst)
  const catchUp = once(fetchChanges)
  const lists = new Lists({ inbox, overlay, request, pageSize, ready, startAnew, changed })
  const queue = new Queue({
    inbox,
    overlay,
    request,
    isSender: isLeader.getSnapshot,
    catchUp: async () => (isLive() ? undefined : catchUp()),
    added(intent) {
      sendNews({ type: 'intent', intent })
      changed()
    },
    confirmed(keys, state) {
      sendNews({ type: 'confirmed', keys, state })
      confirmed(keys, state)
    },
    refused({ key }, error) {
      const { status, code, message } = error
      sendNews({ type: 'refused', key, status, code, message })
      refused(key, error)
    },
  })
  const watching = new Watching(() => {
    if (isLeader.getSnapshot()) link.watch()
    else sendNews({ type: 'watch', wish: watching.wish() })
  })
  const link = new Link({
    open: () => open(socketUrl, 'ravenpost.v1'),
    tokens,
    prepare: ready,
    since: () => inbox.state,
    take,
    watching: () => watching.frame(),
    watched(began) {
      sendNews({ type: 'watched', began })
      events.emit('watched', began)
    },
    report,
  })
  const companion = accompany?.({
    ...{ options, inbox, overlay, link, queue, watching, tokens, events, connection, isLeader },
    ...{ lead, ready, catchUp, take, changed, stored, confirmed, refused, forget, report },
  })

  return {
    options,
    start() {
      if (run) return
      run = new AbortController()
      listen(run.signal)
      report({ status: 'connecting' })
      void begin(run.signal)
    },
    stop: () => end('stopped'),
    signOut,
    inbox: lists.of({}),
    list: (filter) => lists.of(filter),
    counts,
    connection,
    subscribe: version.subscribe,
    get,
    fetchNotification: (id) => request('GET', `/notifications/${id}`),
    read: (ids) => actOn('read', ids, ({ readAt }) => readAt === null),
    unread: (ids) => actOn('unread', ids, ({ readAt }) => readAt !== null),
    archive: (ids) => actOn('archive', ids, ({ archivedAt }) => archivedAt === null),
    unarchive: (ids) => actOn('unarchive', ids, ({ archivedAt }) => archivedAt !== null),
    delete: (ids) => actOn('delete', ids, () => true),
    readAll: () => actUpTo('readAll', 'unreadCount'),
    seen: () => actUpTo('seen', 'unseenCount'),
    why: (id) => request('GET', `/notifications/${id}/why`),
    watch: (watch) => watching.add(watch),
    liveCounts: watching.counts,
    on: events.on,
    retryNow: () => (isLeader.getSnapshot() ? link.retryNow() : sendNews({ type: 'retry' })),
    request,
    token: tokens.get,
  }

  function sendNews(news: News): void {
    companion?.send(news)
  }

  async function begin(signal: AbortSignal): Promise<void> {
    const isElected = await companion?.start(signal)
    if (signal.aborted) return
    isRunning.set(true)
    if (isElected) void ready().catch(ignore)
    else lead(true)
    lists.load()
  }

  function lead(leads: boolean): void {
    if (!run) return
    isLeader.set(leads)
    report({ isLeader: leads })
    if (leads) link.start()
    else {
      link.stop()
      sendNews({ type: 'watch', wish: watching.wish() })
    }
  }

  function end(status: 'stopped' | 'signedOut' | 'refused'): void {
    run?.abort()
    run = undefined
    link.stop()
    queue.stop()
    companion?.stop()
    isLeader.set(false)
    isRunning.set(false)
    report({ status, isLeader: false, retryAt: undefined })
  }

  function signOut(): Promise<void> {
    sendNews({ type: 'signedOut' })
    return forget()
  }

  /** Ends the client and deletes everything stored about the user. */
  async function forget(): Promise<void> {
    const wiped = companion?.wipe()
    end('signedOut')
    overlay.intents = []
    inbox.clear()
    for (const { reject } of waiting.values()) reject(new SignedOut('signed out'))
    waiting.clear()
    changed()
    await wiped
  }

  function report(part: Partial<ConnectionSnapshot>): void {
    const before = connection.getSnapshot()
    const wasLive = before.status === 'live' && part.status !== undefined && part.status !== 'live'
    connection.set(kept(before, { ...before, ...(wasLive && { liveUntil: Date.now() }), ...part }))
    const { status } = part
    if (!isLeader.getSnapshot() || status === undefined) return
    sendNews({ type: 'connection', connection: connection.getSnapshot(), state: inbox.state })
    if (status === 'live' || status === 'waiting') queue.flush()
    if (status === 'live') lists.load()
    else if (status === 'signedOut') void signOut()
    else if (status === 'refused') end('refused')
  }

  function isLive(): boolean {
    return connection.getSnapshot().status === 'live'
  }

  async function getToken(refused: string | undefined): Promise<string> {
    const token = await companion?.token(refused)
    if (token !== undefined) return token
    const renew = refused !== undefined
    const own = await options.getToken({ renew })
    if (renew) sendNews({ type: 'token', token: own })
    return own
  }

  /** Loads the first inbox: from another tab if possible, otherwise from the server. */
  async function fetchFirst(): Promise<void> {
    while (inbox.state === undefined && !isRunning.getSnapshot()) await next(isRunning.subscribe)
    if (inbox.state === undefined) await companion?.inbox()
    if (inbox.state === undefined) await startAnew()
  }

  /** Fetches the first page and discards everything held. */
  async function startAnew(): Promise<void> {
    const { generation } = inbox
    const page = await request<Page>('GET', `/notifications?limit=${pageSize}`)
    if (generation !== inbox.generation) return
    inbox.replace(page)
    events.emit('reset', undefined)
    changed()
    lists.load()
    sendNews({ type: 'list' })
  }

  /** Requests the changes since the held state over REST. */
  async function fetchChanges(): Promise<void> {
    if (inbox.state === undefined) return ready()
    try {
      for (let more = true; more; ) {
        const changes = await request<Changes>('GET', `/notifications/changes?since=${inbox.state}&limit=${PAGE}`)
        const place = inbox.place(changes)
        if (place === 'otherEpoch') return await startAnew()
        if (place === 'next') fold(changes)
        more = changes.more
      }
    } catch (error) {
      if (!(error instanceof RavenpostError) || error.status !== 410) throw error
      await startAnew()
    }
  }

  async function take(frame: ServerFrame): Promise<void> {
    events.emit('frame', { frame, at: Date.now() })
    switch (frame.type) {
      case 'welcome':
        return welcome(frame)
      case 'changes':
        await put(frame)
        if (isLeader.getSnapshot() && inbox.state) link.send({ type: 'ack', state: inbox.state })
        return
      case 'reset':
        return startAnew()
      case 'counts':
        watching.take(frame.posts)
        return relay(frame)
      case 'comments':
        events.emit('comments', frame)
        return relay(frame)
      case 'feed':
        events.emit('feed', frame)
        return relay(frame)
    }
  }

  function relay(frame: ServerFrame): void {
    if (isLeader.getSnapshot()) sendNews({ type: 'frame', frame })
  }

  async function welcome({ userId, state }: Extract<ServerFrame, { type: 'welcome' }>): Promise<void> {
    if (companion?.isOthers(userId)) {
      overlay.intents = []
      await startAnew()
    } else if (inbox.state && epochOf(inbox.state) === epochOf(state))
      report({ missing: Math.max(0, numberOf(state) - numberOf(inbox.state)) })
  }

  async function put(changes: Changes): Promise<void> {
    const place = inbox.place(changes)
    if (place === 'next') fold(changes)
    else if (place === 'missed') await catchUp()
    else if (place === 'otherEpoch') await startAnew()
  }

  function fold(changes: Changes): void {
    const effects = inbox.apply(changes)
    relay({ ...changes, type: 'changes' })
    changed()
    events.emit('changes', changes)
    for (const { id, item: notification, ...effect } of effects) {
      if (notification)
        events.emit('notification', { previous: undefined, grew: false, ...effect, notification, live: isLive() })
      else events.emit('removed', { id })
    }
  }

  /** Updates what is shown after a change of the held inbox or of the intents. */
  function changed(): void {
    const done = overlay.settle(inbox)
    // Intents without confirmation refer to an inbox that no longer exists.
    for (const { key, confirmed } of done)
      settle(key, confirmed === undefined ? new RavenpostError(410, 'STATE_TOO_OLD', 'this inbox is gone') : undefined)
    lists.show()
    const pendingCount = overlay.intents.filter((intent) => intent.confirmed === undefined).length
    counts.set(kept(counts.getSnapshot(), { ...overlay.counts(inbox), pendingCount, isStored, state: inbox.state }))
    version.set(version.getSnapshot() + 1)
    companion?.changed(done)
  }

  function stored(areStored: boolean): void {
    isStored = areStored
    changed()
  }

  function get(id: string) {
    const held = inbox.held.get(id)
    return held && overlay.show(held)
  }

  function actOn(
    type: Exclude<Action['type'], 'readAll' | 'seen'>,
    ids: readonly string[],
    isToDo: (item: Notification) => boolean,
  ): Promise<void> {
    const wanted = ids.filter((id) => {
      const item = get(id)
      return item ? isToDo(item) : !inbox.held.has(id)
    })
    return wanted.length === 0 ? Promise.resolve() : act({ type, ids: wanted })
  }

  function actUpTo(type: 'readAll' | 'seen', count: 'unreadCount' | 'unseenCount'): Promise<void> {
    if (inbox.state === undefined || counts.getSnapshot()[count] === 0) return Promise.resolve()
    return act({ type, upTo: inbox.state })
  }

  function act(action: Action): Promise<void> {
    const { key } = queue.add(action)
    const done = new Promise<void>((resolve, reject) => waiting.set(key, { resolve, reject }))
    // Prevents an unhandled rejection. A caller that does not wait gets the event `refused`.
    done.catch(ignore)
    if (isLeader.getSnapshot()) queue.flush()
    return done
  }

  function confirmed(keys: string[], state: string): void {
    const isOf = ({ key }: Intent) => keys.includes(key)
    overlay.intents = overlay.intents.map((intent) => (isOf(intent) ? { ...intent, confirmed: state } : intent))
    for (const key of keys) settle(key)
    changed()
    // Fetches the changes if the frame that shows this action does not arrive.
    const check = () => run && overlay.intents.some(isOf) && catchUp().catch(ignore)
    if (overlay.intents.some(isOf)) setTimeout(check, isLive() ? CONFIRMED_MS : 0)
    lists.load()
  }

  function refused(key: string, error: RavenpostError): void {
    const intent = overlay.intents.find((each) => each.key === key)
    overlay.intents = overlay.intents.filter((each) => each !== intent)
    settle(key, error)
    changed()
    if (!intent) return
    companion?.changed([intent])
    events.emit('refused', { action: intent.action, error })
  }

  function settle(key: string, error?: Error): void {
    const { resolve, reject } = waiting.get(key) ?? {}
    waiting.delete(key)
    if (error) reject?.(error)
    else resolve?.()
  }

  function listen(signal: AbortSignal): void {
    // Node has no events of pages and networks.
    if (typeof globalThis.addEventListener !== 'function') return
    globalThis.addEventListener('online', () => link.wake(), { signal })
    globalThis.addEventListener('offline', () => link.lose(), { signal })
    const page = globalThis.document
    const onVisibility = () => {
      watching.changed()
      if (page?.visibilityState === 'visible') link.wake()
    }
    page?.addEventListener('visibilitychange', onVisibility, { signal })
  }
}

/** Joins concurrent calls into one. */
function once(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined
  return () => {
    running ??= work().finally(() => {
      running = undefined
    })
    return running
  }
}

function next(subscribe: (listener: () => void) => () => void): Promise<void> {
  return new Promise((resolve) => {
    const unsubscribe = subscribe(() => {
      unsubscribe()
      resolve()
    })
  })
}

function ignore(): undefined {
  return undefined
}
