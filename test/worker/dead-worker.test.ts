import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { inOrderOfTime, noDrift, settled } from '../settled.ts'
import { eventually, setup, startSystem, type TestSystem } from '../setup.ts'
import { sized } from '../size.ts'

const USERS = sized(200, 90)
const POSTS = USERS

function spawnWorker(t: Test, { databaseUrl }: TestSystem): ChildProcess {
  const script = fileURLToPath(new URL('worker-process.ts', import.meta.url))
  const child = spawn(process.execPath, [script, databaseUrl], { stdio: ['ignore', 'ignore', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  return child
}

/** Likes of every post by everyone, with their events, written in one go. */
async function writeLikes({ pool }: TestSystem): Promise<void> {
  await pool.query(
    `insert into social.users (username, email, password_hash, display_name)
     select 'user' || i, 'user' || i || '@example.org', '!', 'User ' || i from generate_series(1, ${USERS}) i`,
  )
  await pool.query('insert into notify.inbox (user_id) select id from social.users')
  await pool.query(
    `insert into social.posts (author_id, body) select u.id, 'hello' from social.users u, generate_series(1, ${POSTS / USERS})`,
  )
  await pool.query(`update social.users set post_count = ${POSTS / USERS}`)
  await pool.query(
    `with liked as (
       insert into social.likes (post_id, user_id) select p.id, u.id from social.posts p, social.users u where p.author_id <> u.id
       returning post_id, user_id)
     insert into notify.outbox (action, counted, source_id, type, recipient_id, actor_id, object_type, object_id, thread_key, group_key, data)
     select 'like', true, 'like:' || p.id || ':' || l.user_id, 'post.liked', p.author_id, l.user_id, 'post', p.id::text, 'post:' || p.id,
       'post.liked:' || p.id, jsonb_build_object('postId', p.id::text)
     from liked l join social.posts p on p.id = l.post_id`,
  )
}

async function everyLikeToldOnce(t: Test, system: TestSystem): Promise<void> {
  const { rows } = await system.pool.query(
    `select (select count(*) from social.likes)::int as likes, (select count(*) from notify.sources where live)::int as notified,
       (select sum(actor_count) from notify.notifications)::int as actors, (select sum(like_count) from social.posts)::int as counted`,
  )
  const { likes } = rows[0]
  t.same(rows[0], { likes, notified: likes, actors: likes, counted: likes })
  await noDrift(t, system)
  await inOrderOfTime(t, system)
}

const backendsOf = (pid: number) => `select p.pid from notify.workers w, pg_stat_activity p
  where w.pid = ${pid} and p.datname = current_database() and p.application_name = 'ravenpost worker' and p.state = 'idle in transaction'`

t.test('another worker continues the work of a killed one within 15 seconds', async (t) => {
  const system = await setup(t, { windowSeconds: 0 })
  await writeLikes(system)
  const child = spawnWorker(t, system)
  await eventually(async () => (await system.pool.query('select from notify.notifications limit 1')).rowCount)
  const { rows: workers } = await system.pool.query('select worker_id as id from notify.workers where pid = $1', [
    child.pid,
  ])
  t.ok(workers.length > 0)
  child.kill('SIGKILL')
  const { rows } = await system.pool.query('select sum(events)::int as left from ops.lag')
  t.ok(rows[0].left > 0, `killed in the middle, with ${rows[0].left} events left`)
  await startSystem(t, system.databaseUrl, { worker: true })
  await eventually(async () => {
    const now = await system.pool.query('select sum(events)::int as left from ops.lag')
    return now.rows[0].left < rows[0].left
  }, 15)
  // How long the rest takes is the machine's affair.
  await settled(system, 60)
  await everyLikeToldOnce(t, system)
  await eventually(async () => {
    const { rowCount } = await system.pool.query('select from graphile_worker.jobs where locked_by = any($1::text[])', [
      workers.map(({ id }) => id),
    ])
    return rowCount === 0
  }, 15)
  t.pass('and its jobs are unlocked')
})

t.test('a paused worker loses its locks, and repeats nothing when it continues', async (t) => {
  const system = await setup(t, { windowSeconds: 0 })
  await writeLikes(system)
  const child = spawnWorker(t, system)
  const { pid } = child
  if (pid === undefined) throw new Error('the worker did not start')
  await eventually(async () => (await system.pool.query('select from notify.notifications limit 1')).rowCount)
  await eventually(async () => {
    child.kill('SIGSTOP')
    if ((await system.pool.query(backendsOf(pid))).rowCount) return true
    child.kill('SIGCONT')
    return false
  })
  await startSystem(t, system.databaseUrl, { worker: true })
  // A stopped worker holds its lanes for ten seconds; how long the rest takes is the machine's affair.
  await settled(system, 60)
  await everyLikeToldOnce(t, system)
  child.kill('SIGCONT')
  const before = Date.now()
  await eventually(async () => {
    const { rowCount } = await system.pool.query('select from notify.workers where pid = $1 and beat_at > $2', [
      pid,
      new Date(before),
    ])
    return rowCount
  })
  await settled(system)
  await everyLikeToldOnce(t, system)
})
