import t from 'tap'
import { noDrift, settled } from '../../settled.ts'
import { setup } from '../../setup.ts'
import { sized } from '../../size.ts'
import { fillInbox } from '../dispatch/events.ts'

const SIZE = sized(60_000, 15_000)
/** A request works for half a second; the rest is for a machine that does much else. */
const DEADLINE_MS = 20_000

t.test('marking a large inbox changes recent notifications at once, the rest soon after', async (t) => {
  const system = await setup(t, { worker: true })
  const ana = await system.as('ana')
  await fillInbox(system.app, ana.id, SIZE)
  const { state } = await ana.get('/notifications/unread-count')
  const unread = async () => (await ana.get('/notifications/unread-count')).unreadCount
  const steps = [
    ['POST', '/notifications/seen', { upTo: state }, null],
    ['PATCH', '/notifications/mark-all-read', {}, 'readAt'],
    ['POST', '/notifications/archive', { upTo: state }, 'archivedAt'],
  ] as const
  for (const [method, path, body, mark] of steps) {
    const startedAt = performance.now()
    const answer = await ana.request(method, path, body)
    const ms = Math.round(performance.now() - startedAt)
    t.equal(answer.status, 200)
    t.ok(ms < DEADLINE_MS, `${path} answered after ${ms} ms`)
    t.ok(answer.body.updated > 0 && answer.body.updated <= SIZE, `${answer.body.updated} were changed by then`)
    if (mark) t.ok((await ana.get(`/notifications/${SIZE}`))[mark], 'the newest is')
    await settled(system, 60)
  }
  t.match(await ana.get('/notifications/unread-count'), { unreadCount: 0, unseenCount: 0 })
  const { rows } = await system.pool.query(
    `select count(*) filter (where read_at is not null and archived_at is not null)::int as changed, max(modseq)::int as modseq,
       count(distinct modseq)::int as modseqs from notify.notifications`,
  )
  t.same(rows, [{ changed: SIZE, modseq: 4 * SIZE, modseqs: SIZE }], 'each once, without gaps')
  t.equal(await unread(), 0)
  await noDrift(t, system)
})

t.test('deleting a large inbox removes everything but later arrivals', async (t) => {
  const system = await setup(t, { worker: true, windowSeconds: 0 })
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  await fillInbox(system.app, ana.id, SIZE)
  const { state } = await ana.get('/notifications/unread-count')
  const answer = await ana.request('POST', '/notifications/delete', { upTo: state })
  t.equal(answer.status, 200)
  t.ok(answer.body.updated <= SIZE, `${answer.body.updated} were deleted by then`)
  await ben.follow(ana.id)
  await settled(system, 60)
  t.match(await ana.get('/notifications'), { items: [{ type: 'user.followed' }], unreadCount: 1, unseenCount: 1 })
  t.equal((await system.pool.query('select from notify.tombstones')).rowCount, SIZE)
  await noDrift(t, system)
})
