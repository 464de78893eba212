import 'fake-indexeddb/auto'
import t, { type Test } from 'tap'
import { createClient } from '../../client/src/client.ts'
import { accompanyWith, type Extras } from '../../client/src/companion.ts'
import type { Options as ClientOptions, Notification, WebSocketLike } from '../../client/src/core.ts'
import { preferencesOf } from '../../client/src/preferences.ts'
import { openStorage, type Saved } from '../../client/src/storage.ts'
import { joinTabs } from '../../client/src/tabs.ts'
import type { TestClient } from '../client.ts'
import { settled } from '../settled.ts'
import { eventually, type Options, setup } from '../setup.ts'
import { type StartedClient, startClient } from './client.ts'
import { startProxy } from './proxy.ts'

/** Ana with a client behind a network that can fail, and Ben, who does things. */
async function start(t: Test, options: Options = {}) {
  const system = await setup(t, { worker: true, push: true, windowSeconds: 0, ...options })
  const [ana, ben, post] = await makePeople(system)
  const network = await startProxy(t, system.url)
  return { system, network, ana, ben, post, started: startClient(t, ana, { url: network.url }) }
}

async function makePeople({ as }: Awaited<ReturnType<typeof setup>>) {
  const [ana, ben] = [await as('ana'), await as('ben')]
  return [ana, ben, await ana.post('hello')] as const
}

const nothing = async () => {}
const startsEmpty = {
  load: async () => ({ saved: undefined, intents: [] }),
  save: nothing,
  putIntent: nothing,
  deleteIntents: nothing,
  wipe: nothing,
  close() {},
}

/** A client that finds this in its storage when it starts. */
function startFrom(t: Test, person: TestClient, system: { url: string }, saved: Saved): StartedClient {
  const storage = { ...startsEmpty, load: async () => ({ saved, intents: [] }) }
  return startClient(t, person, system, (options) =>
    createClient(options, accompanyWith({ openStorage: () => storage })),
  )
}

const itemsOf = ({ client }: StartedClient) => client.inbox.getSnapshot().items
const countsOf = ({ client }: StartedClient) => client.counts.getSnapshot()

/** The client shows the server's list, in the same order and with the same counts. */
async function agrees(started: StartedClient, ana: { get(path: string): Promise<unknown> }): Promise<void> {
  type Listed = { items: Notification[]; state: string; unreadCount: number; unseenCount: number }
  let differs = ''
  await eventually(async () => {
    const { items, state, unreadCount, unseenCount } = (await ana.get('/notifications?limit=100')) as Listed
    const looks = (items: readonly Notification[]) => items.map(({ deliveredAt: _, ...rest }) => rest)
    const shown = [looks(itemsOf(started)), countsOf(started)]
    const { isStored } = countsOf(started)
    const listed = [looks(items), { unreadCount, unseenCount, pendingCount: 0, isStored, state }]
    differs = `${JSON.stringify(shown)}\n${JSON.stringify(listed)}`
    return JSON.stringify(shown) === JSON.stringify(listed)
  }).catch(() => {
    throw new Error(differs)
  })
}

t.test('after a lost connection the client resumes where it was', async (t) => {
  const { system, network, ana, ben, post, started } = await start(t)
  await started.live()
  await ben.follow(ana.id)
  await started.shows('ben followed you')
  await eventually(async () => (await ana.get('/notifications/pending')).items.length === 0)
  const titles: string[] = []
  started.client.on('notification', ({ notification, live }) => titles.push(`${notification.title} ${live}`))

  network.refuse(true)
  network.cut()
  await eventually(() => started.statuses.some(([status]) => status === 'waiting'))
  await ben.unfollow(ana.id)
  await ben.like(post.id)
  await ben.comment(post.id, 'nice')
  await settled(system)
  t.same(started.titles(), ['ben followed you'], 'nothing arrives')
  network.refuse(false)
  await started.live(2)
  t.same(started.titles(), ['ben commented on your post', 'ben liked your post'])
  t.same(titles, ['ben liked your post false', 'ben commented on your post false'], 'each once, as missed')
  await agrees(started, ana)
  await eventually(async () => (await ana.get('/notifications/pending')).items.length === 0)
  t.pass('what arrived was acknowledged')
})

t.test('arriving changes cause no REST calls, and a reconnect that missed nothing causes few', async (t) => {
  const { network, ana, ben, post, started } = await start(t)
  await started.live()
  const asked: string[] = []
  const { fetch } = globalThis
  globalThis.fetch = (input, init) => {
    if (String(input).startsWith(network.url)) asked.push(String(input))
    return fetch(input, init)
  }
  t.teardown(() => {
    globalThis.fetch = fetch
  })
  await ben.like(post.id)
  await started.shows('ben liked your post')
  const frames: string[] = []
  started.client.on('frame', ({ frame }) => frames.push(frame.type))
  network.cut()
  await started.live(2)
  t.same(asked, [])
  t.same(frames, ['welcome', 'synced'])
  await agrees(started, ana)
})

t.test(
  'a state that the server does not know is answered with a reset, and the client fetches the list again',
  async (t) => {
    const system = await setup(t, { worker: true, push: true, windowSeconds: 0 })
    const [ana, ben, post] = await makePeople(system)
    await ben.like(post.id)
    await settled(system)
    const { state } = await ana.get('/notifications')
    for (const unknown of ['elsewhere.7', `${state}000`]) {
      const held = {
        item: { ...(await ana.get('/notifications')).items[0], id: '77', title: 'of another inbox' },
        asOf: 1,
        grown: 1,
      }
      const saved = {
        owner: ana.id,
        state: unknown,
        counts: { unreadCount: 5, unseenCount: 5 },
        held: [held],
        bottom: 'all' as const,
        marks: [],
      }
      const started = startFrom(t, ana, system, saved)
      await started.live()
      t.ok(started.shown.has('of another inbox'), 'what was stored is shown until the server answers')
      t.same(started.titles(), ['ben liked your post'])
      await agrees(started, ana)
    }
    const others = {
      owner: '999999',
      state,
      counts: { unreadCount: 5, unseenCount: 5 },
      held: [],
      bottom: 'all' as const,
      marks: [],
    }
    const started = startFrom(t, ana, system, others)
    await started.live()
    t.same(started.titles(), ['ben liked your post'], "somebody else's inbox is dropped")
  },
)

t.test('the next frame reveals a missing frame, and the client fetches it', async (t) => {
  const system = await setup(t, { worker: true, push: true, windowSeconds: 0 })
  const [ana, ben, post] = await makePeople(system)
  let swallow = 0
  const openSocket: ClientOptions['openSocket'] = (url, protocol) => {
    const socket = new WebSocket(url, protocol)
    const like: WebSocketLike = {
      get readyState() {
        return socket.readyState
      },
      send: (data) => socket.send(data),
      close: () => socket.close(),
      onopen: null,
      onclose: null,
      onerror: null,
      onmessage: null,
    }
    socket.onopen = (event) => like.onopen?.(event as never)
    socket.onclose = (event) => like.onclose?.(event as never)
    socket.onmessage = (event) => {
      if (String(event.data).includes('"changes"') && swallow-- > 0) return
      like.onmessage?.(event as never)
    }
    return like
  }
  const started = startClient(t, ana, { url: system.url, openSocket })
  await started.live()
  swallow = 1
  await ben.like(post.id)
  await eventually(() => swallow <= 0)
  t.same(started.titles(), [])
  await ben.comment(post.id, 'nice')
  await started.shows('ben commented on your post', 'ben liked your post')
  await agrees(started, ana)

  // After the later tombstones are removed, only the list shows which notifications are gone.
  swallow = 1
  await ben.unlike(post.id)
  await eventually(() => swallow <= 0)
  await system.pool.query('update notify.inbox set floor_modseq = modseq')
  await ben.follow(ana.id)
  await started.shows('ben followed you', 'ben commented on your post')
  await agrees(started, ana)
})

t.test('after "read all" the list has no gaps and can be loaded to the oldest notification', async (t) => {
  const { system, ana, ben, started } = await start(t)
  await started.live()
  for (let n = 0; n < 12; n++) {
    const post = await ana.post(`number ${n}`)
    await ben.like(post.id)
  }
  await settled(system)
  const few = startClient(t, ana, { url: system.url, pageSize: 5 })
  await few.live()
  t.equal(itemsOf(few).length, 5)
  const loads = [few.client.inbox.loadMore(), few.client.inbox.loadMore()]
  await few.client.readAll()
  await Promise.all(loads)
  const listed = (await ana.get('/notifications?limit=100')).items.map(({ id }: Notification) => id)
  const shown = () => itemsOf(few).map(({ id }) => id)
  t.same(shown(), listed.slice(0, 10), 'two calls at the same time are one page')
  t.equal(countsOf(few).unreadCount, 0)
  t.ok(few.client.inbox.getSnapshot().hasMore)
  await few.client.inbox.loadMore()
  t.same(shown(), listed)
  t.notOk(few.client.inbox.getSnapshot().hasMore)
  await agrees(few, ana)
  await agrees(started, ana)
})

t.test('a page that loads while the list is refetched is requested again', async (t) => {
  const { system, ana, ben, post, started } = await start(t)
  await ben.like(post.id)
  await settled(system)
  await started.live()
  const { fetch } = globalThis
  let answer = () => {}
  const held = new Promise<void>((resolve) => {
    answer = resolve
  })
  globalThis.fetch = async (input, init) => {
    const response = await fetch(input, init)
    if (String(input).includes('filter=unread')) await held
    return response
  }
  t.teardown(() => {
    globalThis.fetch = fetch
  })
  const unread = started.client.list({ filter: 'unread' })
  t.teardown(unread.subscribe(() => {}))
  await started.client.inbox.refresh()
  answer()
  await eventually(() => unread.getSnapshot().status === 'ready')
  t.same(
    unread.getSnapshot().items.map(({ title }) => title),
    ['ben liked your post'],
  )
  await agrees(started, ana)
})

t.test('an action shows at once on every device', async (t) => {
  const { system, ana, ben, post, started } = await start(t)
  const other = startClient(t, ana, { url: system.url })
  const { client } = started
  const [unread, archived] = [client.list({ filter: 'unread' }), client.list({ filter: 'archived' })]
  for (const list of [unread, archived]) t.teardown(list.subscribe(() => {}))
  await Promise.all([started.live(), other.live()])
  await ben.like(post.id)
  await ben.comment(post.id, 'nice')
  await started.shows('ben commented on your post', 'ben liked your post')
  const [comment, like] = itemsOf(started).map(({ id }) => id)
  if (!comment || !like) throw new Error('two are shown')

  const done = client.read([comment])
  t.ok(itemsOf(started)[0]?.readAt, 'before the server knows')
  t.ok(itemsOf(started)[0]?.pending)
  t.equal(countsOf(started).unreadCount, 1)
  t.equal(unread.getSnapshot().items.length, 1)
  await done
  await eventually(() => countsOf(started).pendingCount === 0 && !itemsOf(started)[0]?.pending)
  await eventually(() => countsOf(other).unreadCount === 1)
  await client.read([comment])
  t.equal(countsOf(started).unreadCount, 1, 'reading what is read is nothing')

  void client.archive([like])
  t.same(started.titles(), ['ben commented on your post'])
  t.equal(archived.getSnapshot().items[0]?.id, like)
  t.equal(countsOf(started).unreadCount, 0)
  void client.unread([comment])
  t.equal(countsOf(started).unreadCount, 1)
  await client.unarchive([like])
  await eventually(() => other.titles().length === 2 && countsOf(other).unreadCount === 2)
  await client.seen()
  await client.delete([like])
  await other.shows('ben commented on your post')
  await client.readAll()
  await agrees(started, ana)
  await agrees(other, ana)
  t.equal(archived.getSnapshot().items.length, 0)

  const refusals: unknown[] = []
  client.on('refused', ({ action }) => refusals.push(action))
  await t.rejects(client.read(['not an id']), { code: 'VALIDATION_FAILED' })
  t.same(refusals, [{ type: 'read', ids: ['not an id'] }])
  await agrees(started, ana)
})

t.test('a database that was closed is opened again, and without one an action does not count as stored', async (t) => {
  const name = 'closed by another tab'
  const storage = openStorage(name)
  await storage?.load()
  await new Promise((resolve) => {
    indexedDB.deleteDatabase(name).onsuccess = resolve
  })
  await storage?.putIntent({ key: '1', action: { type: 'readAll', upTo: '1.1' }, at: '', epoch: '1', of: {} })
  t.equal((await storage?.load())?.intents.length, 1)
  storage?.close()

  const { ana, system } = await start(t)
  const broken = { ...startsEmpty, putIntent: async () => Promise.reject(new Error('full')) }
  const started = startClient(t, ana, system, (options) =>
    createClient(options, accompanyWith({ openStorage: () => broken })),
  )
  await started.live()
  void started.client.archive(['1'])
  await eventually(() => !countsOf(started).isStored)
})

t.test('without a network, actions wait, also across a restart, and do not affect later notifications', async (t) => {
  const { system, network, ana, ben, post } = await start(t)
  const create = (options: ClientOptions) => createClient(options, accompanyWith({ openStorage }))
  const options = { url: network.url, userId: ana.id }
  const first = startClient(t, ana, options, create)
  await first.live()
  await ben.like(post.id)
  await ben.follow(ana.id)
  await first.shows('ben followed you', 'ben liked your post')

  network.refuse(true)
  network.cut()
  await eventually(() => first.statuses.at(-1)?.[0] === 'waiting')
  const [follow, like] = itemsOf(first).map(({ id }) => id)
  if (!follow || !like) throw new Error('two are shown')
  void first.client.read([like])
  void first.client.archive([follow])
  void first.client.readAll()
  t.same(first.titles(), ['ben liked your post'])
  t.equal(countsOf(first).unreadCount, 0)
  t.equal(countsOf(first).pendingCount, 2, 'nothing is left for "read all" to do')
  t.ok(countsOf(first).isStored)
  first.client.stop()

  // Meanwhile the group grows and a new notification arrives.
  const cleo = await system.as('cleo')
  await cleo.like(post.id)
  await ben.comment(post.id, 'nice')
  await settled(system)
  const second = startClient(t, ana, options, create)
  await second.shows('ben liked your post')
  t.equal(countsOf(second).unreadCount, 0, 'from the store, without a network')
  t.equal(countsOf(second).pendingCount, 2)
  t.equal(second.client.connection.getSnapshot().liveUntil, undefined)
  network.refuse(false)
  await second.live()
  await agrees(second, ana)
  t.same(second.titles(), ['ben commented on your post', 'cleo and ben liked your post'])
  t.same(
    itemsOf(second).map(({ readAt }) => readAt),
    [null, null],
    'what grew was not read by what the user did before',
  )
  const archived = await ana.get('/notifications?filter=archived')
  t.same(
    archived.items.map(({ id }: Notification) => id),
    [follow],
  )

  await second.client.signOut()
  t.same(second.titles(), [])
  const third = startClient(t, ana, { ...options, getToken: () => new Promise<string>(() => {}) }, create)
  await new Promise((resolve) => setTimeout(resolve, 100))
  t.same(third.titles(), [], 'nothing is kept after sign-out')
})

t.test('all tabs of a user share one socket, which another tab takes over when its tab closes', async (t) => {
  const { system, ana, ben, post } = await start(t)
  let sockets = 0
  let renewals = 0
  const openSocket: ClientOptions['openSocket'] = (url, protocol) => {
    sockets += 1
    return new WebSocket(url, protocol)
  }
  const getToken: ClientOptions['getToken'] = ({ renew }) => {
    if (renew) renewals += 1
    return ana.accessToken
  }
  const extras: Extras = { joinTabs }
  const open = () =>
    startClient(t, ana, { url: system.url, userId: ana.id, openSocket, getToken }, (o) =>
      createClient(o, accompanyWith(extras)),
    )
  const tabs = Array.from({ length: 5 }, open)
  await Promise.all(tabs.map((tab) => tab.live()))
  t.equal(sockets, 1)
  const leaders = () => tabs.filter(({ client }) => client.connection.getSnapshot().isLeader)
  t.equal(leaders().length, 1)

  await ben.like(post.id)
  await Promise.all(tabs.map((tab) => tab.shows('ben liked your post')))
  const [follower] = tabs.filter((tab) => !leaders().includes(tab))
  const [leader] = leaders()
  if (!follower || !leader) throw new Error('there are both')
  const [item] = itemsOf(follower)
  const done = follower.client.read([item?.id ?? ''])
  await Promise.all(tabs.map((tab) => eventually(() => countsOf(tab).unreadCount === 0)))
  await done
  const watched: number[] = []
  follower.client.watch({ posts: [post.id] })
  follower.client.liveCounts.subscribe(() => {
    const counts = follower.client.liveCounts.getSnapshot().get(post.id)
    if (counts) watched.push(counts.likeCount)
  })
  await eventually(() => watched.at(-1) === 1)
  const newer: number[] = []
  follower.client.on('feed', (frame) => newer.push(frame.newer))
  const began = new Promise((resolve) => follower.client.on('watched', resolve))
  follower.client.watch({ feed: 'all' })
  t.match(await began, { feed: 'all' })
  await ben.post('one')
  await eventually(() => newer.at(-1) === 1)
  let beats = 0
  const heard = new BroadcastChannel(`ravenpost:${system.url}:${ana.id}`)
  heard.onmessage = ({ data }) => {
    if (data.type === 'watch') beats += 1
  }
  await eventually(() => beats > 2 * tabs.length)
  heard.close()
  await ben.post('two')
  await eventually(() => newer.at(-1) === 2)
  t.equal(await follower.client.token('refused'), ana.accessToken)
  t.equal(renewals, 0, 'another token was there already')

  leader.client.stop()
  await ben.comment(post.id, 'nice')
  const others = tabs.filter((tab) => tab !== leader)
  await Promise.all(others.map((tab) => tab.shows('ben commented on your post', 'ben liked your post')))
  t.equal(sockets, 2)
  for (const tab of others) await agrees(tab, ana)

  const late = open()
  await late.shows('ben commented on your post', 'ben liked your post')
  await late.client.signOut()
  await Promise.all(others.map((tab) => eventually(() => tab.statuses.at(-1)?.[0] === 'signedOut')))
  for (const tab of others) t.same(tab.titles(), [])
})

t.test('a frozen tab stops being the leader', async (t) => {
  const system = await setup(t, { push: true })
  const ana = await system.as('ana')
  // As a frozen tab: it keeps its lock, and is silent.
  let thaw = () => {}
  const lock = `ravenpost:${system.url}:${ana.id}`
  const frozen = navigator.locks.request(lock, () => new Promise<void>((resolve) => (thaw = resolve)))
  const options = { url: system.url, userId: ana.id }
  const started = startClient(t, ana, options, (o) => createClient(o, accompanyWith({ joinTabs })))
  await t.rejects(frozen, { name: 'AbortError' })
  await started.live()
  t.ok(started.client.connection.getSnapshot().isLeader)
  thaw()
})

t.test('live counts continue after a lost connection', async (t) => {
  const { system, network, ana, ben, post } = await start(t)
  const started = startClient(t, ana, { url: network.url })
  const counts: (number | undefined)[] = []
  started.client.liveCounts.subscribe(() =>
    counts.push(started.client.liveCounts.getSnapshot().get(post.id)?.likeCount),
  )
  await started.live()
  const unwatch = started.client.watch({ posts: [post.id] })
  await eventually(() => counts.at(-1) === 0)
  network.cut()
  await started.live(2)
  await ben.like(post.id)
  await eventually(() => counts.at(-1) === 1)
  await (await system.as('cleo')).like(post.id)
  await eventually(() => counts.at(-1) === 2)
  t.same([...new Set(counts)], [0, 1, 2])

  const [comments, newer]: [string[], number[]] = [[], []]
  started.client.on('comments', (frame) => comments.push(...frame.comments.map(({ body }) => body)))
  started.client.on('feed', (frame) => newer.push(frame.newer))
  const began: unknown[] = []
  started.client.on('watched', (each) => began.push(each))
  const stopWatching = started.client.watch({ comments: post.id, feed: 'all' })
  await eventually(() => began.length > 0)
  await ben.comment(post.id, 'nice')
  await ben.post('news')
  await eventually(() => comments.includes('nice') && newer.at(-1) === 1)
  started.client.watch({ posts: ['1'] })
  await eventually(() => began.length > 1)
  t.same(began, [{ comments: post.id, feed: 'all' }, { feed: 'all' }], 'the comments continue')
  stopWatching()
  unwatch()
})

t.test('preferences show at once, and revert when the server refuses them', async (t) => {
  const { started } = await start(t)
  const preferences = preferencesOf(started.client)
  t.teardown(preferences.subscribe(() => {}))
  await eventually(() => preferences.getSnapshot().status === 'ready')
  const saved = preferences.save({ types: { 'post.liked': { email: false } } })
  t.same(preferences.getSnapshot().preferences, { types: { 'post.liked': { email: false } } })
  await saved
  t.equal(preferences.getSnapshot().effective?.['post.liked']?.email.enabled, false)
  await t.rejects(preferences.save({ dnd: { enabled: true, timeZone: 'Nowhere/Land', windows: [] } }), {
    code: 'BAD_TIME_ZONE',
  })
  const { status, preferences: shown } = preferences.getSnapshot()
  t.equal(status, 'error')
  t.same(shown?.types, { 'post.liked': { email: false } })
})
