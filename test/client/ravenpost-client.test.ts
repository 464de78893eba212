import t, { type Test } from 'tap'
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

const shows = ({ titles }: StartedClient, ...expected: string[]) =>
  eventually(() => titles().join() === expected.join())

t.test('after a lost connection it goes on where it was', async (t) => {
  const { system, network, ana, ben, post, started } = await start(t)
  await started.live()
  await ben.follow(ana.id)
  await shows(started, 'ben followed you')
  await eventually(async () => (await ana.get('/notifications/pending')).items.length === 0)
  const seen: string[] = []
  const counted = startClient(t, ana, { url: network.url, onChange: ({ state = '' }) => seen.push(state) })
  await counted.live()

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
  await counted.live(2)
  t.same(new Set(seen).size, seen.length, 'every state was reached once')

  const { items, state, unreadCount, unseenCount } = await ana.get('/notifications')
  t.same(
    started.inbox.items.map(({ id }) => id),
    items.map(({ id }: { id: string }) => id),
  )
  t.equal(started.inbox.state, state)
  t.same(started.inbox.counts, { unreadCount, unseenCount })
  await eventually(async () => (await ana.get('/notifications/pending')).items.length === 0)
  t.pass('what arrived was acknowledged')
})

t.test('what was there before the first start is listed and acknowledged', async (t) => {
  const system = await setup(t, { worker: true, push: true, windowSeconds: 0 })
  const [ana, ben, post] = await makePeople(system)
  await ben.like(post.id)
  await settled(system)
  const started = startClient(t, ana, system)
  await started.live()
  t.same(started.titles(), ['ben liked your post'])
  t.equal(started.inbox.counts.unreadCount, 1)
  await eventually(async () => (await ana.get('/notifications/pending')).items.length === 0)
})

t.test('a state that the server does not know is answered with a reset, and the list is fetched anew', async (t) => {
  const { network, ana, ben, post, started } = await start(t)
  await started.live()
  await ben.like(post.id)
  await shows(started, 'ben liked your post')
  for (const unknown of ['elsewhere.7', `${started.inbox.state}000`]) {
    started.inbox.apply({
      from: '',
      to: unknown,
      more: true,
      upserts: [],
      removes: started.inbox.items.map(({ id }) => id),
    })
    const times = started.statuses.filter(([status]) => status === 'live').length
    network.cut()
    await started.live(times + 1)
    t.same(started.titles(), ['ben liked your post'])
    t.equal(started.inbox.state, (await ana.get('/notifications')).state)
  }
  await ben.comment(post.id, 'nice')
  await shows(started, 'ben commented on your post', 'ben liked your post')
})

t.test('a change that begins after the held state makes it ask for those between', async (t) => {
  const { system, ana, ben, post, started } = await start(t)
  await started.live()
  const before = started.inbox.state
  await ben.like(post.id)
  await shows(started, 'ben liked your post')
  started.inbox.replace({ items: [], state: before ?? '', unreadCount: 0, unseenCount: 0 })
  await ben.comment(post.id, 'nice')
  await shows(started, 'ben commented on your post', 'ben liked your post')
  t.equal(started.inbox.counts.unreadCount, 2)

  // Once the tombstones since then are gone, only the list can tell.
  await system.pool.query('update notify.inbox set floor_modseq = modseq')
  started.inbox.replace({ items: [], state: before ?? '', unreadCount: 0, unseenCount: 0 })
  await ben.follow(ana.id)
  await shows(started, 'ben followed you', 'ben commented on your post', 'ben liked your post')
})

t.test('reads are answered with the counts, and refused with a reason', async (t) => {
  const { network, ana, ben, post, started } = await start(t)
  const { client } = started
  await t.rejects(client.seen(), { message: 'not connected' })
  await started.live()
  await ben.like(post.id)
  await ben.comment(post.id, 'nice')
  await shows(started, 'ben commented on your post', 'ben liked your post')

  t.equal((await client.seen()).unseenCount, 0)
  t.equal(started.inbox.counts.unseenCount, 0)
  const [comment] = started.inbox.items
  const { unreadCount, state } = await client.read([comment?.id ?? ''])
  t.equal(unreadCount, 1)
  t.equal(started.inbox.counts.unreadCount, 1)
  await eventually(() => started.inbox.state === state)
  t.ok(started.inbox.items[0]?.readAt)
  t.equal((await client.readAll()).unreadCount, 0)
  t.equal((await ana.get('/notifications/unread-count')).unreadCount, 0)
  await t.rejects(client.read([]), { message: /^VALIDATION_FAILED: / })

  network.swallow()
  const asked = client.readAll()
  network.cut()
  await t.rejects(asked, { message: 'the connection was lost' })
})

t.test('live counts go on after a lost connection', async (t) => {
  const { system, network, ana, ben, post } = await start(t)
  const counts: number[] = []
  const onCounts = ([watched]: { likeCount: number }[]) => counts.push(watched?.likeCount ?? -1)
  const started = startClient(t, ana, { url: network.url, onCounts })
  await started.live()
  started.client.watch([post.id])
  await eventually(() => counts.at(-1) === 0)
  network.cut()
  await started.live(2)
  await ben.like(post.id)
  await eventually(() => counts.at(-1) === 1)
  await (await system.as('cleo')).like(post.id)
  await eventually(() => counts.at(-1) === 2)
  t.same([...new Set(counts)], [0, 1, 2])
})
