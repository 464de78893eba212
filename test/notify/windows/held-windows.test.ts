import pg from 'pg'
import t, { type Test } from 'tap'
import type { App } from '../../../src/app.ts'
import { flushWindows } from '../../../src/notify/windows/flush.ts'
import { inboxApp, makePost, makeUsers } from '../dispatch/events.ts'

/** More than one transaction flushes. */
const MANY = 1100

t.test('due windows of a locked inbox delay no other window', async (t) => {
  const app = await inboxApp(t)
  const [ana = '', ben = '', cem = ''] = await makeUsers(app, ['ana', 'ben', 'cem'])
  await manyWindows(app, ana)
  await gathering(app, ben, cem)
  const holder = await holding(t, app, 'select from notify.inbox where user_id = $1 for update', ana)
  await flushWindows(app)
  t.equal(await shown(app, ben), 1)
  t.equal(await left(app, ana), MANY)
  await holder.query('rollback')
  await flushWindows(app)
  t.equal(await left(app, ana), 0)
})

t.test('due windows of a deleted inbox delay no other window', async (t) => {
  const app = await inboxApp(t)
  const [ana = '', ben = '', cem = ''] = await makeUsers(app, ['ana', 'ben', 'cem'])
  await manyWindows(app, ana)
  await app.pool.query('delete from notify.inbox where user_id = $1', [ana])
  await gathering(app, ben, cem)
  await flushWindows(app)
  t.equal(await shown(app, ben), 1)
})

t.test('a locked post delays only its own windows', async (t) => {
  const app = await inboxApp(t)
  const [ana = '', ben = '', cem = ''] = await makeUsers(app, ['ana', 'ben', 'cem'])
  const held = await gathering(app, ana, cem)
  await gathering(app, ben, cem)
  const holder = await holding(t, app, 'select from social.posts where id = $1 for update', held)
  await flushWindows(app)
  t.same([await shown(app, ana), await shown(app, ben)], [0, 1])
  const { rows } = await app.pool.query('select attempts from notify.windows where user_id = $1', [ana])
  t.same(rows, [{ attempts: 0 }], 'nothing failed')
  await holder.query('rollback')
  await flushWindows(app)
  t.equal(await shown(app, ana), 1)
})

/** Empty windows that are due before all others. */
async function manyWindows({ pool }: App, userId: string): Promise<void> {
  await pool.query(
    `insert into notify.windows (user_id, group_key, type, object_type, object_id, data, due_at)
     select $1, 'comment.created:' || n, 'comment.created', 'post', n::text, '{}', now() - interval '1 minute'
     from generate_series(1, $2::int) n`,
    [userId, MANY],
  )
}

/** A due window over a new post of this user, in which one source waits; returns the post. */
async function gathering(app: App, userId: string, actorId: string): Promise<string> {
  const postId = await makePost(app, userId)
  await app.pool.query(
    `insert into notify.windows (user_id, group_key, type, object_type, object_id, thread_key, data, due_at)
     values ($1, 'post.liked:' || $2::text, 'post.liked', 'post', $2::text, 'post:' || $2::text, '{}', now() - interval '30 seconds')`,
    [userId, postId],
  )
  await app.pool.query(
    `insert into notify.sources (user_id, source_id, event_id, actor_id, live, notified, decision, waits_for)
     values ($1, concat('like:', $2::text, ':', $3::text), 1, $3::bigint, false, false, 'waiting', 'post.liked:' || $2::text)`,
    [userId, postId, actorId],
  )
  return postId
}

async function holding(t: Test, app: App, lock: string, id: string): Promise<pg.Client> {
  const holder = new pg.Client({ connectionString: app.config.databaseUrl })
  await holder.connect()
  t.teardown(() => holder.end())
  await holder.query('begin')
  await holder.query(lock, [id])
  return holder
}

async function shown({ pool }: App, userId: string): Promise<number> {
  return (await pool.query('select from notify.notifications where user_id = $1', [userId])).rowCount ?? 0
}

async function left({ pool }: App, userId: string): Promise<number> {
  return (await pool.query('select from notify.windows where user_id = $1', [userId])).rowCount ?? 0
}
