import { RavenpostError, SignedOut } from './errors.ts'
import { type Effect, HeldInbox, type Page } from './held-inbox.ts'
import { type ConnectionSnapshot, Link } from './link.ts'
import { Lists } from './lists.ts'
import { type Action, type Intent, Overlay } from './overlay.ts'
import { createPreferences } from './preferences.ts'
import type { Changes, Notification, ServerFrame, Why } from './protocol.ts'
import { Queue } from './queue.ts'
import { compare, type Key, reaches } from './ranges.ts'
import type { CommentsFrame, CountsSnapshot, Events, FeedFrame, Options, Ravenpost } from './ravenpost.ts'
import { waitAfter } from './reconnect.ts'
import { claimsOf, createRequest, createTokens } from './rest.ts'
import type { WebSocketLike } from './socket.ts'
import { epochOf, numberOf } from './states.ts'
import type { Saved, Storage } from './storage.ts'
import { createEmitter, createStore, kept } from './stores.ts'
import type { Tabs, TabsOptions } from './tabs.ts'
import { type Watch, Watching } from './watching.ts'

/** What a browser adds: the inbox on disk, and one socket for all tabs. */
export type Extras = {
  openStorage?(name: string): Storage | undefined
  joinTabs?(options: TabsOptions<TabMessage>): Tabs<TabMessage> | undefined
}

/** What tabs of one user send each other. */
export type TabMessage =
  | { type: 'beat'; connection: ConnectionSnapshot; state: string | undefined }
  | { type: 'who' }
  | { type: 'frame'; frame: ServerFrame | CommentsFrame | FeedFrame }
  | { type: 'saved?' }
  | { type: 'saved'; saved: Saved }
  | { type: 'intent'; intent: Intent }
  | { type: 'confirmed'; keys: string[]; state: string }
  | { type: 'refused'; key: string; status: number; code: string; message: string }
  | { type: 'watch'; tab: string; wish: Watch }
  | { type: 'token?'; refused?: string }
  | { type: 'token'; token: string }
  | { type: 'retry' }
  | { type: 'signedOut' }

const SAVED_ITEMS = 300
const SAVE_MS = 300
/** How long another tab may take to answer before this one helps itself. */
const TAB_MS = 1500
/** How long the frame may take that shows what the server has confirmed. */
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

export function createClient(options: Options, extras: Extras = {}): Ravenpost {
  const { url, pageSize = 30, socketUrl = `${url.replace(/^http/, 'ws')}/ws` } = options
  const open = options.openSocket ?? ((address, protocol): WebSocketLike => new WebSocket(address, protocol))
  const inbox = new HeldInbox()
  const overlay = new Overlay()
  const events = createEmitter<Events>()
  const connection = createStore(STOPPED)
  const counts = createStore<CountsSnapshot>({ unreadCount: 0, unseenCount: 0, pendingCount: 0, state: undefined })
  const tabId = Math.random().toString(36).slice(2)
  const waiting = new Map<string, { resolve(): void; reject(error: Error): void }>()

  let run: AbortController | undefined
  let storage: Storage | undefined
  let tabs: Tabs<TabMessage> | undefined
  let userId: string | undefined
  let owner: string | undefined
  let isLeader = false
  let catchingUp: Promise<void> | undefined
  let starting: Promise<void> | undefined
  let saving: ReturnType<typeof setTimeout> | undefined
  let answeredByTab: ((token: string) => void) | undefined
  const begun = createStore(false)
  const leading = createStore(false)
  const version = createStore(0)

  const tokens = createTokens(getToken)
  const request = createRequest(url, tokens)
  const lists = new Lists({ inbox, overlay, request, pageSize, ready, startAnew, changed })
  const queue = new Queue({
    inbox,
    overlay,
    request,
    isSender: () => isLeader,
    catchUp: () => (isLive() ? Promise.resolve() : catchUp()),
    added: (intent) => {
      void storage?.putIntent(intent).catch(ignore)
      tabs?.post({ type: 'intent', intent })
      changed()
    },
    confirmed: (keys, state) => {
      tabs?.post({ type: 'confirmed', keys, state })
      confirmed(keys, state)
    },
    refused: ({ key }, { status, code, message }) => {
      tabs?.post({ type: 'refused', key, status, code, message })
      refused(key, new RavenpostError(status, code, message))
    },
  })
  const watching = new Watching(() => {
    if (isLeader) link.send(watching.frame())
    else tabs?.post({ type: 'watch', tab: tabId, wish: watching.wish() })
  })
  const link = new Link({
    open: () => open(socketUrl, 'ravenpost.v1'),
    tokens,
    prepare: ready,
    since: () => inbox.state,
    take,
    watching: () => (watching.isUsed() ? watching.frame() : undefined),
    report,
  })

  const client: Ravenpost = {
    options,
    start,
    stop,
    signOut,
    inbox: lists.of({}),
    list: (filter) => lists.of(filter),
    counts,
    connection,
    subscribe: version.subscribe,
    get: (id) => {
      const held = inbox.held.get(id)
      return held && overlay.show(held)
    },
    fetchNotification: (id) => request('GET', `/notifications/${id}`),
    read: (ids) => actOn('read', ids, ({ readAt }) => readAt === null),
    unread: (ids) => actOn('unread', ids, ({ readAt }) => readAt !== null),
    archive: (ids) => actOn('archive', ids, ({ archivedAt }) => archivedAt === null),
    unarchive: (ids) => actOn('unarchive', ids, ({ archivedAt }) => archivedAt !== null),
    delete: (ids) => actOn('delete', ids, () => true),
    readAll: () => actUpTo('readAll', 'unreadCount'),
    seen: () => actUpTo('seen', 'unseenCount'),
    preferences: createPreferences(request),
    why: (id) => request<Why>('GET', `/notifications/${id}/why`),
    watch: (watch) => watching.add(watch),
    liveCounts: watching.counts,
    on: events.on,
    retryNow: () => (isLeader ? link.retryNow() : tabs?.post({ type: 'retry' })),
    request,
    token: (refused) => tokens.get(refused),
  }
  return client

  function start(): void {
    if (run) return
    run = new AbortController()
    addListeners(run.signal)
    report({ status: 'connecting' })
    void begin(run.signal)
  }

  function stop(): void {
    end('stopped')
  }

  async function signOut(): Promise<void> {
    tabs?.post({ type: 'signedOut' })
    await forget('signedOut')
  }

  function end(status: 'stopped' | 'signedOut' | 'refused'): void {
    run?.abort()
    run = undefined
    link.stop()
    queue.stop()
    tabs?.close()
    tabs = undefined
    save()
    storage?.close()
    storage = undefined
    isLeader = false
    leading.set(false)
    begun.set(false)
    report({ status, isLeader: false, retryAt: undefined })
  }

  /** Ends, and keeps nothing of the user. */
  async function forget(status: 'signedOut'): Promise<void> {
    const stored = storage
    storage = undefined
    end(status)
    overlay.intents = []
    inbox.clear()
    for (const { reject } of waiting.values()) reject(new SignedOut('signed out'))
    waiting.clear()
    changed()
    await stored?.wipe().catch(ignore)
    stored?.close()
  }

  /** Shows what is stored, then joins the other tabs, or leads alone. */
  async function begin(signal: AbortSignal): Promise<void> {
    for (let failures = 0; extras.openStorage && userId === undefined && !signal.aborted; ) {
      try {
        userId = options.userId ?? claimsOf(await tokens.get()).sub ?? ''
      } catch (error) {
        if (signal.aborted) return
        if (error instanceof SignedOut) return void forget('signedOut')
        await new Promise((resolve) => setTimeout(resolve, waitAfter(1006, failures++)))
      }
    }
    if (signal.aborted) return
    const name = `ravenpost:${url}:${userId}`
    if (userId) {
      storage = extras.openStorage?.(name)
      await load(storage)
      if (signal.aborted) return
      tabs = extras.joinTabs?.({ name, onRole, onMessage, beat })
    }
    begun.set(true)
    if (tabs) void ready().catch(ignore)
    else onRole(true)
    lists.load()
  }

  async function load(from: Storage | undefined): Promise<void> {
    const stored = await from?.load().catch(ignore)
    if (!stored || from !== storage) return
    const known = new Set(overlay.intents.map(({ key }) => key))
    overlay.intents = [...overlay.intents, ...stored.intents.filter(({ key }) => !known.has(key))].sort(byKey)
    if (inbox.state === undefined && stored.saved) restore(stored.saved)
    changed()
  }

  function onRole(lead: boolean): void {
    if (!run) return
    isLeader = lead
    leading.set(lead)
    report({ isLeader: lead })
    if (lead) link.start()
    else {
      link.stop()
      tabs?.post({ type: 'watch', tab: tabId, wish: watching.wish() })
    }
  }

  function report(part: Partial<ConnectionSnapshot>): void {
    const before = connection.getSnapshot()
    const wasLive = before.status === 'live' && part.status !== undefined && part.status !== 'live'
    connection.set(kept(before, { ...before, ...(wasLive && { liveUntil: Date.now() }), ...part }))
    if (!isLeader || part.status === undefined) return
    tabs?.post(beat())
    if (part.status === 'live') {
      queue.flush()
      lists.load()
    } else if (part.status === 'waiting') queue.flush()
    else if (part.status === 'signedOut') void signOut()
    else if (part.status === 'refused') end('refused')
  }

  function beat(): TabMessage {
    return { type: 'beat', connection: connection.getSnapshot(), state: inbox.state }
  }

  function isLive(): boolean {
    return connection.getSnapshot().status === 'live'
  }

  async function getToken(refused: string | undefined): Promise<string> {
    const renew = refused !== undefined
    if (isLeader || !tabs) {
      const token = await options.getToken({ renew })
      if (renew) tabs?.post({ type: 'token', token })
      return token
    }
    tabs.post(renew ? { type: 'token?', refused } : { type: 'token?' })
    const answer = await within<string>(TAB_MS, (listener) => {
      answeredByTab = listener
      return () => {}
    })
    return answer ?? options.getToken({ renew: false })
  }

  /** Resolves when there is an inbox: from another tab, or from the server. */
  function ready(): Promise<void> {
    if (inbox.state !== undefined) return Promise.resolve()
    starting ??= fetchFirst().finally(() => {
      starting = undefined
    })
    return starting
  }

  async function fetchFirst(): Promise<void> {
    while (!begun.getSnapshot()) await within<void>(Number.POSITIVE_INFINITY, begun.subscribe)
    if (tabs && !isLeader) {
      tabs.post({ type: 'saved?' })
      await within<unknown>(TAB_MS, (listener) =>
        both(
          events.on('reset', listener),
          leading.subscribe(() => listener(true)),
        ),
      )
    }
    if (inbox.state === undefined) await startAnew()
  }

  /** Fetches the first page, and drops what is held beyond it. */
  async function startAnew(): Promise<void> {
    const { generation } = inbox
    const page = await request<Page>('GET', `/notifications?limit=${pageSize}`)
    if (generation !== inbox.generation) return
    inbox.replace(page)
    events.emit('reset', undefined)
    changed()
    lists.load()
    if (isLeader) share()
  }

  /** Asks over REST for what came after the held state. */
  function catchUp(): Promise<void> {
    catchingUp ??= fetchChanges().finally(() => {
      catchingUp = undefined
    })
    return catchingUp
  }

  async function fetchChanges(): Promise<void> {
    if (inbox.state === undefined) return ready()
    for (let more = true; more; ) {
      try {
        const changes = await request<Changes>('GET', `/notifications/changes?since=${inbox.state}&limit=${PAGE}`)
        if (inbox.place(changes) === 'otherEpoch') return await startAnew()
        if (inbox.place(changes) === 'next') fold(changes)
        more = changes.more
      } catch (error) {
        if (!(error instanceof RavenpostError) || error.status !== 410) throw error
        return startAnew()
      }
    }
  }

  async function take(frame: ServerFrame | CommentsFrame | FeedFrame): Promise<void> {
    events.emit('frame', { frame, at: Date.now() })
    if (isLeader && RELAYED.includes(frame.type)) tabs?.post({ type: 'frame', frame })
    switch (frame.type) {
      case 'welcome':
        return welcome(frame)
      case 'changes':
        await place(frame)
        if (isLeader && inbox.state) link.send({ type: 'ack', state: inbox.state })
        return
      case 'reset':
        return startAnew()
      case 'counts':
        return watching.take(frame.posts)
      case 'comments':
        return events.emit('comments', frame)
      case 'feed':
        return events.emit('feed', frame)
    }
  }

  async function welcome(frame: Extract<ServerFrame, { type: 'welcome' }>): Promise<void> {
    const isOthers = owner !== undefined && owner !== frame.userId
    owner = frame.userId
    if (isOthers) {
      overlay.intents = []
      return startAnew()
    }
    const { state } = inbox
    if (state && epochOf(state) === epochOf(frame.state))
      report({ missing: Math.max(0, numberOf(frame.state) - numberOf(state)) })
  }

  async function place(changes: Changes): Promise<void> {
    const place = inbox.place(changes)
    if (place === 'next') fold(changes)
    else if (place === 'missed') await catchUp()
    else if (place === 'otherEpoch') await startAnew()
  }

  function fold(changes: Changes): void {
    const effects = inbox.apply(changes)
    if (isLeader) tabs?.post({ type: 'frame', frame: { ...changes, type: 'changes' } })
    changed()
    events.emit('changes', changes)
    for (const effect of effects) tell(effect)
  }

  function tell(effect: Effect): void {
    if (effect.item === undefined) events.emit('removed', { id: effect.id })
    else {
      const { item: notification, previous, grew } = effect
      events.emit('notification', { notification, previous, grew, live: isLive() })
    }
  }

  /** The held inbox or the intents have changed. */
  function changed(): void {
    const done = overlay.settle(inbox)
    if (done.length > 0) void storage?.deleteIntents(done.map(({ key }) => key)).catch(ignore)
    for (const { key, confirmed } of done) settle(key, confirmed === undefined)
    lists.show()
    const pendingCount = overlay.intents.filter((intent) => intent.confirmed === undefined).length
    counts.set(kept(counts.getSnapshot(), { ...overlay.counts(inbox), pendingCount, state: inbox.state }))
    version.set(version.getSnapshot() + 1)
    if (isLeader) saving ??= setTimeout(save, SAVE_MS)
  }

  function actOn(
    type: Exclude<Action['type'], 'readAll' | 'seen'>,
    ids: readonly string[],
    isToDo: (item: Notification) => boolean,
  ): Promise<void> {
    const wanted = ids.filter((id) => {
      const held = inbox.held.get(id)
      const item = held && overlay.show(held)
      return !held || (item !== undefined && isToDo(item))
    })
    return wanted.length === 0 ? Promise.resolve() : act({ type, ids: wanted })
  }

  function actUpTo(type: 'readAll' | 'seen', count: 'unreadCount' | 'unseenCount'): Promise<void> {
    const isToDo = inbox.state !== undefined && counts.getSnapshot()[count] > 0
    return isToDo && inbox.state ? act({ type, upTo: inbox.state }) : Promise.resolve()
  }

  function act(action: Action): Promise<void> {
    const { key } = queue.add(action)
    const done = new Promise<void>((resolve, reject) => waiting.set(key, { resolve, reject }))
    // Those who do not wait hear of it by `refused`.
    done.catch(ignore)
    if (isLeader) queue.flush()
    return done
  }

  function confirmed(keys: string[], state: string): void {
    overlay.intents = overlay.intents.map((intent) =>
      keys.includes(intent.key) ? { ...intent, confirmed: state } : intent,
    )
    for (const key of keys) settle(key)
    changed()
    if (overlay.intents.some(({ key }) => keys.includes(key)))
      setTimeout(() => run && stillMissing(keys), isLive() ? CONFIRMED_MS : 0)
    lists.load()
  }

  /** The frame that shows what is confirmed has not come. */
  function stillMissing(keys: string[]): void {
    if (overlay.intents.some(({ key }) => keys.includes(key))) void catchUp().catch(ignore)
  }

  function refused(key: string, error: RavenpostError): void {
    const intent = overlay.intents.find((each) => each.key === key)
    overlay.intents = overlay.intents.filter((each) => each !== intent)
    void storage?.deleteIntents([key]).catch(ignore)
    waiting.get(key)?.reject(error)
    waiting.delete(key)
    changed()
    if (intent) events.emit('refused', { action: intent.action, error })
  }

  function settle(key: string, isPointless = false): void {
    const { resolve, reject } = waiting.get(key) ?? {}
    if (isPointless) reject?.(new RavenpostError(410, 'STATE_TOO_OLD', 'the inbox it was about is gone'))
    else resolve?.()
    waiting.delete(key)
  }

  function onMessage(message: TabMessage): void {
    switch (message.type) {
      case 'frame':
        if (!isLeader) void take(message.frame).catch(ignore)
        break
      case 'beat':
        if (!isLeader) heard(message)
        break
      case 'saved?':
        if (isLeader) share()
        break
      case 'saved':
        if (inbox.state === undefined) adopt(message.saved)
        break
      case 'intent':
        overlay.intents = [...overlay.intents, message.intent].sort(byKey)
        changed()
        if (isLeader) queue.flush()
        break
      case 'confirmed':
        confirmed(message.keys, message.state)
        break
      case 'refused':
        refused(message.key, new RavenpostError(message.status, message.code, message.message))
        break
      case 'watch':
        if (isLeader) watching.tab(message.tab, message.wish)
        break
      case 'token?':
        if (isLeader) void tokens.get(message.refused).then((token) => tabs?.post({ type: 'token', token }), ignore)
        break
      case 'token':
        tokens.take(message.token)
        answeredByTab?.(message.token)
        break
      case 'retry':
        if (isLeader) link.retryNow()
        break
      case 'signedOut':
        void forget('signedOut')
    }
  }

  function heard({ connection, state }: Extract<TabMessage, { type: 'beat' }>): void {
    report({ ...connection, isLeader: false })
    tabs?.post({ type: 'watch', tab: tabId, wish: watching.wish() })
    if (isAhead(state)) void catchUp().catch(ignore)
  }

  function adopt(saved: Saved): void {
    restore(saved)
    events.emit('reset', undefined)
    changed()
  }

  function isAhead(state: string | undefined): boolean {
    if (state === undefined || inbox.state === undefined) return false
    return epochOf(state) !== epochOf(inbox.state) || numberOf(state) > numberOf(inbox.state)
  }

  function share(): void {
    const saved = snapshot()
    if (saved) tabs?.post({ type: 'saved', saved })
  }

  function save(): void {
    clearTimeout(saving)
    saving = undefined
    const saved = snapshot()
    if (saved) void storage?.save(saved).catch(ignore)
  }

  /** The newest of the inbox, down to the end of a page: from there on pages can be fetched. */
  function snapshot(): Saved | undefined {
    if (inbox.state === undefined) return undefined
    const all = inbox.within(inbox.main)
    let { bottom, marks } = inbox.main
    if (all.length > SAVED_ITEMS && marks.length > 0) {
      const isShort = (mark: { bottom: Key }) =>
        all.filter(({ item }) => compare(item, mark.bottom) <= 0).length <= SAVED_ITEMS
      const last = Math.max(0, marks.findLastIndex(isShort))
      marks = marks.slice(0, last + 1)
      bottom = marks.at(-1)?.bottom ?? bottom
    }
    const held = all.filter(({ item }) => reaches(bottom, item))
    return { owner, state: inbox.state, counts: inbox.counts, held, bottom, marks }
  }

  function restore(saved: Saved): void {
    const {
      state,
      counts: { unreadCount, unseenCount },
      held,
      bottom,
      marks,
    } = saved
    owner = saved.owner
    inbox.replace({ items: [], state, unreadCount, unseenCount })
    inbox.restore(held)
    Object.assign(inbox.main, { bottom, marks: [...marks] })
  }

  function addListeners(signal: AbortSignal): void {
    // Node has no such events.
    if (typeof globalThis.addEventListener !== 'function') return
    globalThis.addEventListener('online', () => link.wake(), { signal })
    globalThis.addEventListener('offline', () => link.lose(), { signal })
    globalThis.addEventListener('pagehide', save, { signal })
    globalThis.document?.addEventListener('visibilitychange', () => isVisible() && link.wake(), { signal })
  }
}

/** Changes are relayed as they are folded, those from REST too. */
const RELAYED: string[] = ['reset', 'counts', 'comments', 'feed'] satisfies (
  | ServerFrame
  | CommentsFrame
  | FeedFrame
)['type'][]

function isVisible(): boolean {
  return document.visibilityState === 'visible'
}

function byKey(a: Intent, b: Intent): number {
  return a.key < b.key ? -1 : 1
}

function both(first: () => void, second: () => void): () => void {
  return () => {
    first()
    second()
  }
}

/** What is called back with, or undefined when that takes longer. */
function within<T>(
  milliseconds: number,
  subscribe: (listener: (value: T) => void) => () => void,
): Promise<T | undefined> {
  return new Promise((resolve) => {
    const done = (value?: T) => {
      clearTimeout(timer)
      unsubscribe()
      resolve(value)
    }
    const timer = milliseconds === Number.POSITIVE_INFINITY ? undefined : setTimeout(done, milliseconds)
    const unsubscribe = subscribe(done)
  })
}

/** Storage that does not work costs the start from it, nothing else; the network is tried again. */
function ignore(): undefined {
  return undefined
}
