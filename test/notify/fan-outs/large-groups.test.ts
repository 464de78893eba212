import t, { type Test } from 'tap'
import { startWorker } from '../../../src/worker/start.ts'
import { tasks } from '../../../workers/index.ts'
import type { TestClient } from '../../client.ts'
import { inboxOf, noDrift, settled } from '../../settled.ts'
import { eventually, setup, type TestSystem } from '../../setup.ts'
import { sized } from '../../size.ts'

const LARGE = sized(100_000, 16_000)
/** Sources that a request may end itself. */
const CHUNK = 5000
/** Maximum pause of the event loop, because the process does no work row by row. */
const STILL_MS = 1000

t.test('one request empties an inbox with large groups, and their sources end afterwards', async (t) => {
  const system = await setup(t)
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  const post = await ana.post('viral')
  await fill(system, ana.id, 1, LARGE - 5000, { thread: `post:${post.id}` })
  await fill(system, ana.id, 2, 5000, { thread: `post:${post.id}` })
  const { state } = await ana.get('/notifications/unread-count')
  const answer = await bounded(t, system, () => ana.request('POST', '/notifications/delete', { upTo: state }))
  t.match(answer, { status: 200, body: { updated: 2, unreadCount: 0, unseenCount: 0 } })
  await ben.like(post.id)
  await work(t, system)
  await settled(system, 60)
  t.same(await liveSources(system, ana), [{ notification: 1, live: 1 }], 'all others ended')
  t.match(await inboxOf(system, 'ana'), [{ type: 'post.liked', actor_count: 1 }])
  await noDrift(t, system)
})

t.test('sources of a removed group count as ended before they are ended', async (t) => {
  const system = await setup(t, { windowSeconds: 0 })
  const { pool } = system
  const ana = await system.as('ana')
  await fill(system, ana.id, 1, 6000, {})
  t.match(await ana.request('DELETE', '/notifications/1'), { status: 200 })
  t.equal((await pool.query('select from notify.sources where live')).rowCount, 1000, 'a chunk of them ended')
  const { rows } = await pool.query('select source_id from notify.sources where live order by 1 limit 2')
  const [again, back] = rows.map((row) => row.source_id)
  const event = `insert into notify.outbox (action, retracts, counted, source_id, type, recipient_id, actor_id, object_type, object_id, group_key)
    values ('test', $1, false, $2, 'post.liked', $3, 7, 'post', '1', 'post.liked:1')`
  await pool.query(event, [false, again, ana.id])
  await pool.query(event, [true, back, ana.id])
  await work(t, system)
  await settled(system)
  const decided = await pool.query('select decision from notify.sources where source_id = any($1) order by source_id', [
    [again, back],
  ])
  t.same(decided.rows, [{ decision: 'stale_group' }, { decision: 'retracted' }], 'the same source never notifies twice')
  t.equal((await pool.query('select from notify.sources where live')).rowCount, 0)
  t.same(await inboxOf(system, 'ana'), [])
})

t.test('a deleted post leaves every inbox, including large groups and locked inboxes', async (t) => {
  const system = await setup(t)
  const [ana, ben, cem] = await Promise.all(['ana', 'ben', 'cem'].map(system.as))
  if (!ana || !ben || !cem) throw new Error('nobody signed up')
  const post = await ana.post('viral')
  await fill(system, ana.id, 1, sized(20_000, 6000), { thread: `post:${post.id}` })
  for (const { id } of [ben, cem]) await mention(system, id, 3000, `post:${post.id}`)
  const holder = await system.pool.connect()
  await holder.query('begin')
  await holder.query('select from notify.inbox where user_id = $1 for update', [ben.id])
  t.match(await bounded(t, system, () => ana.request('DELETE', `/posts/${post.id}`)), { status: 204 })
  await work(t, system)
  const isLeft = async ({ id }: TestClient) =>
    (await system.pool.query('select from notify.notifications where user_id = $1', [id])).rowCount !== 0
  await eventually(async () => !(await isLeft(ana)) && !(await isLeft(cem)))
  t.ok(await isLeft(ben), 'whose inbox is held')
  await holder.query('rollback')
  holder.release()
  await system.pool.query('update notify.fan_outs set due_at = now() where finished_at is null')
  await settled(system, 60)
  t.notOk(await isLeft(ben))
  t.same(await liveSources(system, ana), [])
  await noDrift(t, system)
})

t.test('a deleted comment leaves every other inbox while one is held, and that one after its release', async (t) => {
  const system = await setup(t, { windowSeconds: 0, worker: true })
  const [ana, hal, zoe] = [await system.as('ana'), await system.as('hal'), await system.as('zoe')]
  const post = await ana.post('Hello')
  await ana.comment(post.id, 'Good morning, @hal')
  const comment = await ana.comment(post.id, 'Look at this, @hal and @zoe')
  await settled(system)
  const mentions = async ({ id }: TestClient) =>
    (await system.pool.query('select from notify.notifications where user_id = $1', [id])).rowCount
  t.same([await mentions(hal), await mentions(zoe)], [2, 1])
  const holder = await system.pool.connect()
  await holder.query('begin')
  await holder.query('select from notify.inbox where user_id = $1 for update', [hal.id])
  t.match(await ana.request('DELETE', `/comments/${comment.id}`), { status: 204 })
  await eventually(async () => (await mentions(zoe)) === 0, 5).finally(async () => {
    await holder.query('rollback')
    holder.release()
  })
  await settled(system)
  t.same([await mentions(hal), await mentions(zoe)], [1, 0])
  const { rows } = await system.pool.query('select attempts, last_error from notify.fan_outs')
  t.same(rows, [{ attempts: 0, last_error: null }], 'a held inbox is no failure')
  await noDrift(t, system)
})

t.test('blocking a very active user returns at once and removes all their notifications', async (t) => {
  const system = await setup(t, { windowSeconds: 0 })
  const [ana, ben, cem] = await Promise.all(['ana', 'ben', 'cem'].map(system.as))
  if (!ana || !ben || !cem) throw new Error('nobody signed up')
  await fill(system, ana.id, 1, LARGE / 2, { actor: ben.id })
  await fill(system, ana.id, 2, LARGE / 4, { actor: ben.id, also: cem.id })
  const post = await ana.post('hello')
  await fillMany(system, ana.id, 1250, sized(20, 5), ben.id)
  t.match(await bounded(t, system, () => ana.request('PUT', `/users/${ben.id}/block`)), { status: 204 })
  await work(t, system)
  await ben.post(`@ana, are you there?`)
  await eventually(async () => (await system.pool.query('select sum(events) = 0 as read from ops.lag')).rows[0].read)
  t.match(await ana.request('DELETE', `/users/${ben.id}/block`), { status: 204 }, 'while it is under way')
  await ben.comment(post.id, 'now?')
  await settled(system, 60)
  t.match(await inboxOf(system, 'ana'), [
    { type: 'comment.created', actors: 'ben', actor_count: 1 },
    { type: 'post.liked', actors: 'cem', actor_count: 1 },
  ])
  const { rows } = await system.pool.query(
    'select count(*)::int as n from notify.sources where user_id = $1 and actor_id = $2 and live',
    [ana.id, ben.id],
  )
  t.same(rows, [{ n: 1 }], 'the comment after the block')
  await noDrift(t, system)
})

/** Inserts a closed group `id` with `size` sources, by as many actors or all by one, and one more source by `also`. */
async function fill(
  { pool }: TestSystem,
  userId: string,
  id: number,
  size: number,
  { thread, actor, also }: { thread?: string; actor?: string; also?: string },
): Promise<void> {
  const people = (actor ? 1 : size) + (also ? 1 : 0)
  const actors = [...(actor ? [actor] : []), ...(also ? [also] : [])]
  await pool.query(
    `insert into notify.notifications (user_id, id, modseq, grown_modseq, type, expires_at, closed_at, actor_ids, actor_count, thread_key, group_key, object_type, object_id)
     values ($1, $2, $2, $2, 'post.liked', now() + interval '90 days', now(), $3, $4, $5, 'post.liked:' || $2::bigint, 'post', '1')`,
    [userId, id, actors.length > 0 ? actors : [1], people, thread],
  )
  await pool.query(
    `insert into notify.sources (user_id, source_id, event_id, notification_id, actor_id, live, notified, decision)
     select $1, 'large:' || $2::bigint || ':' || n, 0, $2, coalesce($4::bigint, 1000000 + n), true, true, 'shown' from generate_series(1, $3::int) n`,
    [userId, id, size, actor],
  )
  if (also)
    await pool.query(
      `insert into notify.sources (user_id, source_id, event_id, notification_id, actor_id, live, notified, decision)
       values ($1, 'also:' || $2::bigint, 0, $2, $3, true, true, 'shown')`,
      [userId, id, also],
    )
  await count(pool, userId)
}

/** Inserts `groups` notifications with `size` sources each, all by one actor. */
async function fillMany(
  { pool }: TestSystem,
  userId: string,
  groups: number,
  size: number,
  actor: string,
): Promise<void> {
  await pool.query(
    `insert into notify.notifications (user_id, id, modseq, grown_modseq, type, expires_at, closed_at, actor_ids, actor_count, object_type, object_id)
     select $1, n, n, n, 'comment.created', now() + interval '90 days', now(), array[$3::bigint], 1, 'post', n::text from generate_series(101, 100 + $2::int) n`,
    [userId, groups, actor],
  )
  await pool.query(
    `insert into notify.sources (user_id, source_id, event_id, notification_id, actor_id, live, notified, decision)
     select $1, 'comment:' || 1000000 + n, 0, 101 + n / $3::int, $4, true, true, 'shown' from generate_series(0, $2::int * $3::int - 1) n`,
    [userId, groups, size, actor],
  )
  await count(pool, userId)
}

async function mention({ pool }: TestSystem, userId: string, size: number, thread: string): Promise<void> {
  await pool.query(
    `insert into notify.notifications (user_id, id, modseq, grown_modseq, type, expires_at, thread_key)
     select $1, n, n, n, 'user.mentioned', now() + interval '90 days', $3 from generate_series(1, $2::int) n`,
    [userId, size, thread],
  )
  await count(pool, userId)
}

async function count(pool: TestSystem['pool'], userId: string): Promise<void> {
  await pool.query(
    `update notify.inbox set modseq = last, era = last / 8, unread_count = n, unseen_count = n
     from (select max(id) as last, count(*) as n from notify.notifications where user_id = $1) n where user_id = $1`,
    [userId],
  )
}

async function liveSources({ pool }: TestSystem, { id }: TestClient): Promise<unknown[]> {
  const { rows } = await pool.query(
    `select (n.id is not null)::int as notification, count(*)::int as live
     from notify.sources s left join notify.notifications n on n.user_id = s.user_id and n.id = s.notification_id
     where s.user_id = $1 and s.live group by 1`,
    [id],
  )
  return rows
}

/** Checks that a request does at most one chunk of the work and does not block this process. Returns its answer. */
async function bounded<T>(t: Test, { pool }: TestSystem, request: () => Promise<T>): Promise<T> {
  const live = async () => (await pool.query('select from notify.sources where live')).rowCount ?? 0
  const before = await live()
  let longest = 0
  let last = threadMs()
  const timer = setInterval(() => {
    const now = threadMs()
    longest = Math.max(longest, now - last)
    last = now
  }, 10)
  const answer = await request()
  clearInterval(timer)
  const ended = before - (await live())
  t.ok(ended <= CHUNK && ended < before, `${ended} of ${before} sources had ended by then`)
  t.ok(longest < STILL_MS, `the event loop was held up by ${Math.round(longest)} ms of work`)
  return answer
}

async function work(t: Test, { app }: TestSystem): Promise<void> {
  const worker = await startWorker(app, tasks)
  t.teardown(() => worker.close())
}

/** CPU time of this thread, which does not depend on other programs of the machine. */
function threadMs(): number {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}
