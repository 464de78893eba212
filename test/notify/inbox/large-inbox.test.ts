import t from 'tap'
import { inboxFanOuts } from '../../../src/notify/fan-outs/kinds.ts'
import { runFanOuts } from '../../../src/notify/fan-outs/run.ts'
import { retractActorChunk } from '../../../src/social/blocks/retract-actor.ts'
import { noDrift, settled } from '../../settled.ts'
import { setup } from '../../setup.ts'
import { sized } from '../../size.ts'
import { drift, fillInbox } from '../dispatch/events.ts'

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

t.test('what the user does after a request stays, although its rest is changed later', async (t) => {
  const { app, pool, as } = await setup(t)
  const rests = {
    read_inbox: { readAt: String },
    archive_inbox: { archivedAt: String },
    delete_inbox: { code: 'NOTIFICATION_NOT_FOUND' },
  }
  const steps = [
    ['read', 'read_inbox', 'unread'],
    ['archive', 'read_inbox', 'unarchive'],
    ['archive', 'archive_inbox', 'unarchive'],
    ['archive', 'delete_inbox', 'unarchive'],
    // Before the rest has reached it.
    [null, 'read_inbox', 'unread'],
    [null, 'archive_inbox', 'unarchive'],
  ] as const
  for (const [index, [before, rest, after]] of steps.entries()) {
    const user = await as(`user_${index}`)
    await fillInbox(app, user.id, 3)
    const { state } = await user.get('/notifications/unread-count')
    if (before) await user.request('PATCH', `/notifications/1/${before}`)
    const { rows } = await pool.query(
      'insert into notify.fan_outs (kind, object_id, cursor_user_id) values ($1, $2, 2) returning id',
      [rest, user.id],
    )
    t.match(await user.request('PATCH', `/notifications/1/${after}`), { status: 200 })
    t.match(await user.request('POST', '/notifications/seen', { upTo: state }), { body: { updated: 3 } })
    await runFanOuts(app, inboxFanOuts)
    t.match(await user.get('/notifications/1'), { readAt: null, archivedAt: null }, `${rest}, then ${after}`)
    t.match((await user.request('GET', '/notifications/2')).body, rests[rest], 'although it was seen since then')
    t.match(await user.get('/notifications/3'), { readAt: null, archivedAt: null }, 'beyond the rest')
    t.same(
      (await pool.query('select from notify.fan_outs where id = $1 and finished_at is null', [rows[0].id])).rows,
      [],
    )
    t.same(await drift(app, [user.id]), [])
  }
})

t.test('the rest of a held inbox waits without an error, and for its end no other fan-out waits', async (t) => {
  const { app, pool, as } = await setup(t)
  const hal = await as('hal')
  await fillInbox(app, hal.id, 3)
  await pool.query(
    `insert into notify.fan_outs (kind, object_id, cursor_user_id) values ('read_inbox', $1, 3), ('see_inbox', $1, 3)`,
    [hal.id],
  )
  await pool.query(`insert into notify.fan_outs (kind, object_id, actor_id) values ('retract_actor', $1, 7)`, [hal.id])
  const run = () => runFanOuts(app, { ...inboxFanOuts, retract_actor: retractActorChunk })
  const left = async () => {
    const { rows } = await pool.query(
      'select kind, attempts, last_error from notify.fan_outs where finished_at is null order by kind',
    )
    return rows
  }
  const holder = await pool.connect()
  await holder.query('begin')
  await holder.query('select from notify.inbox where user_id = $1 for update', [hal.id])
  await run()
  await holder.query('rollback')
  holder.release()
  t.same(
    await left(),
    ['read_inbox', 'retract_actor', 'see_inbox'].map((kind) => ({ kind, attempts: 0, last_error: null })),
  )
  await pool.query('update notify.fan_outs set due_at = now()')
  await run()
  t.same(await left(), [])
  t.match(await hal.get('/notifications/unread-count'), { unreadCount: 0, unseenCount: 0 })
})
