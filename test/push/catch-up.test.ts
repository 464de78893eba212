import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import type { App } from '../../src/app.ts'
import { changesSince } from '../../src/notify/inbox/changes.ts'
import { dispatch, fillInbox } from '../notify/dispatch/events.ts'
import { patiently } from '../settled.ts'
import { eventually } from '../setup.ts'
import { sendTo, startNode, type TestUser } from './node.ts'

const KIB = 1024
/** As large as a send may be: 2,000 characters of text and 8 KiB of data. */
const LARGEST = 17 * KIB

async function fillWithLarge(app: App, ids: string[], count: number): Promise<void> {
  await patiently(app.pool, async (client) => {
    await client.query(
      `insert into notify.notifications (user_id, id, modseq, grown_modseq, type, title, body, data, expires_at)
     select u, g, g, g, 'system', 'Notice', repeat('ä', 2000), jsonb_build_object('filler', repeat('x', 8000)), now() + interval '90 days'
     from unnest($1::bigint[]) u, generate_series(1, $2::int) g`,
      [ids, count],
    )
    await client.query(
      'update notify.inbox set modseq = $2::int, era = $2::int / 8, unread_count = $2::int, unseen_count = $2::int where user_id = any($1)',
      [ids, count],
    )
  })
}

/** A device that only measures the size of received frames. */
function weigh(t: Test, url: string, token: string) {
  const socket = new WebSocket(url, 'ravenpost.v1')
  t.teardown(() => socket.terminate())
  const seen = { largest: 0, synced: '', socket, hello: () => socket.send(JSON.stringify({ type: 'hello', token })) }
  socket.on('message', (data) => {
    const text = data.toString()
    seen.largest = Math.max(seen.largest, Buffer.byteLength(text))
    if (text.startsWith('{"type":"synced"')) seen.synced = text
  })
  return seen
}

t.test('when two hundred users with large inboxes reconnect at once, nobody is delayed', async (t) => {
  const node = await startNode(t, { env: { SWEEP_INTERVAL_MS: '60000' } })
  const users: TestUser[] = []
  for (let n = 0; n < 200; n += 1) users.push(await node.user(`u${n}`))
  await fillWithLarge(
    node.app,
    users.map(({ id }) => id),
    50,
  )
  const live = await (await node.user('ana')).connect()
  const ana = await node.user('ben')
  const socket = await ana.connect()
  await Promise.all([live.next('synced'), socket.next('synced')])

  const back = users.map(({ token }) => weigh(t, node.url, token))
  await eventually(() => back.every(({ socket }) => socket.readyState === WebSocket.OPEN))
  for (const { hello } of back) hello()
  for (let n = 1; n <= 3; n += 1) {
    await sendTo(node.app, ana.id)
    await dispatch(node.app)
    t.match(await socket.next('changes', 5), { unreadCount: n })
  }
  t.ok(
    back.some(({ synced }) => synced === ''),
    'they came while the others were still catching up',
  )
  await eventually(() => back.every(({ synced }) => synced !== ''), 60)
  for (const { synced } of back) t.match(JSON.parse(synced), { count: 50 })
  const largest = Math.max(...back.map((one) => one.largest))
  t.ok(largest <= 256 * KIB + 2 * LARGEST, `the largest frame: ${largest} bytes`)
})

t.test('a frame of changes is limited by size but has at least one change', async (t) => {
  const { app, user } = await startNode(t)
  const [ana, ben] = [await user('ana'), await user('ben')]
  await fillWithLarge(app, [ana.id], 100)
  await fillInbox(app, ben.id, 100)
  const read = async (octets: number, since = 0) => {
    const requests = [ana, ben].map(({ id }) => ({ userId: id, since, limit: 100, octets }))
    const answers = await changesSince(app, requests)
    return [ana, ben].map(({ id }) => answers.get(id))
  }
  const items = ({ upserts, to, more }: NonNullable<Awaited<ReturnType<typeof read>>[0]>) => [upserts.length, to, more]
  const [large, small] = await read(100 * KIB)
  t.same(large && items(large), [7, 7, true])
  t.same(small && items(small), [100, 100, false])
  const [one] = await read(1)
  t.same(one && items(one), [1, 1, true])
  const [last] = await read(1, 99)
  t.same(last && items(last), [1, 100, false], 'the counts belong to it')
  await app.pool.query('delete from notify.notifications where user_id = $1', [ana.id])
  await app.pool.query(
    'insert into notify.tombstones (user_id, modseq, id) select $1, g, g from generate_series(1, 100) g',
    [ana.id],
  )
  const [removed] = await read(1)
  t.same(removed && [removed.removes.length, removed.more], [100, false], 'a removal weighs nothing')
})
