import { setTimeout as sleep } from 'node:timers/promises'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import type { App } from '../../../src/app.ts'
import { maintainDeliveryLog } from '../../../src/notify/delivery-log/partitions.ts'
import { dispatchWith } from '../../../src/notify/dispatch/dispatch.ts'
import { runFanOuts } from '../../../src/notify/fan-outs/run.ts'
import { retryPending } from '../../../src/notify/outbox/pending.ts'
import { actions } from '../../../src/social/actions.ts'
import { deletePost } from '../../../src/social/posts/write.ts'
import { allFanOuts } from '../../../src/worker/context.ts'
import { patiently } from '../../settled.ts'
import { eventually } from '../../setup.ts'
import { sized } from '../../size.ts'
import { createPost } from '../../social/posts/write.ts'
import { inboxApp } from '../dispatch/events.ts'
import { AUTHOR, fillAudience } from './audience.ts'

/** Several chunks for each of the four lanes. */
const AUDIENCE = sized(45_000, 18_000)
const actor = { userId: AUTHOR, requestId: 'test' }

t.setTimeout(300_000)

t.test('interrupted concurrent fan-outs notify everybody once', async (t) => {
  const app = await appWith(t, AUDIENCE)
  const post = await createPost(app, actor, 'Hello')
  const [, , , cutOff] = await Promise.all([...[1, 2, 3].map(() => untilFinished(app)), cutOffWorkers(app, 8)])
  t.ok(Number(cutOff) > 0, `${cutOff} chunks were cut off`)
  await retryAll(app)
  t.same(await outcome(app, post.id), { notifications: AUDIENCE, users: AUDIENCE, sources: AUDIENCE })
  t.same(await drift(app), [])
})

t.test(
  "a deletion does not wait for the fan-out's last chunk, and nothing of the post appears afterwards",
  async (t) => {
    const app = await appWith(t, AUDIENCE)
    const post = await createPost(app, actor, 'Hello')
    const working = Promise.all([1, 2].map(() => untilFinished(app)))
    await eventually(async () => (await outcome(app, post.id)).notifications > 0)
    await deletePost(app, actor, post.id)
    await working
    await retryAll(app)
    const { notifications, sources } = await outcome(app, post.id)
    t.equal(notifications, 0)
    t.ok(sources > 0 && sources < AUDIENCE, `${sources} were notified before`)
    t.same((await app.pool.query('select count(*)::int as n from social.posts')).rows, [{ n: 0 }])
    t.same(await drift(app), [])
  },
)

t.test("a fan-out stops when the post's author deletes the account", async (t) => {
  const app = await appWith(t, 100)
  const post = await createPost(app, actor, 'Hello')
  await app.pool.query('update social.users set deleted_at = now() where id = $1', [AUTHOR])
  await untilFinished(app)
  t.equal((await outcome(app, post.id)).notifications, 0)
})

t.test('a locked inbox delays nobody and is notified later', async (t) => {
  const app = await appWith(t, 200)
  const post = await createPost(app, actor, 'Hello')
  const holder = await app.pool.connect()
  await holder.query('begin')
  await holder.query('select from notify.inbox where user_id in (7, 8) for update')
  await untilFinished(app)
  t.equal((await outcome(app, post.id)).notifications, 198)
  await holder.query('commit')
  holder.release()
  t.equal(await retryAll(app), 2)
  t.equal((await outcome(app, post.id)).notifications, 200)
  t.same(await drift(app), [])
})

t.test(
  'a post locked by another transaction is published once it is unlocked, and no recipient becomes pending',
  async (t) => {
    const app = await appWith(t, 200)
    const post = await createPost(app, actor, 'Hello')
    const holder = await app.pool.connect()
    await holder.query('begin')
    await holder.query('select from social.posts where id = $1 for update', [post.id])
    for (let i = 0; i < 3; i++) {
      await runFanOuts(app, allFanOuts)
      await app.pool.query('update notify.fan_outs set due_at = now()')
    }
    await holder.query('commit')
    holder.release()
    await untilFinished(app)
    t.equal((await outcome(app, post.id)).notifications, 200)
    t.same((await app.pool.query('select recipient_id from notify.pending')).rows, [])
  },
)

t.test('a failing inbox delays no other inbox', async (t) => {
  const app = await appWith(t, 300)
  const post = await createPost(app, actor, 'Hello')
  await app.pool.query('alter table notify.notifications add constraint not_nine check (user_id <> 9)')
  await untilFinished(app)
  await retryAll(app)
  t.equal((await outcome(app, post.id)).notifications, 299)
  t.match((await app.pool.query('select recipient_id, last_error from notify.pending')).rows, [
    { recipient_id: '9', last_error: /not_nine/ },
  ])
})

t.test(
  'blocks and mutes added during a fan-out apply to its next chunks, also those of a single recipient',
  async (t) => {
    const app = await appWith(t, 200)
    const post = await createPost(app, actor, 'Hello')
    await runFanOuts(app, allFanOuts, () => true)
    t.equal((await outcome(app, post.id)).notifications, (await outcome(app, post.id)).sources, 'nobody is silenced')
    const { rows: lanes } = await app.pool.query<{ least: number; greatest: number }>(
      `select min(b.user_id)::int as least, max(b.user_id)::int as greatest from social.bells b join notify.fan_outs f on b.shard between f.first_shard and f.last_shard
     where f.finished_at is null group by f.id order by f.id`,
    )
    // A chunk looks for silences between its least and its greatest user: each rule has one of these, and no other.
    const silence = {
      block: 'insert into social.blocks (user_id, other_id) values ($1, $2)',
      blocked: 'insert into social.blocks (other_id, user_id) values ($1, $2)',
      mute: 'insert into social.mutes (user_id, other_id) values ($1, $2)',
      threadMute: 'insert into social.thread_mutes (user_id, post_id) values ($1, $2)',
    }
    const [first, second, third] = lanes
    const silenced = [
      [first?.least, 'block', AUTHOR],
      [first?.greatest, 'blocked', AUTHOR],
      [second?.least, 'blocked', AUTHOR],
      [second?.greatest, 'mute', AUTHOR],
      [third?.least, 'mute', AUTHOR],
      [third?.greatest, 'threadMute', post.id],
    ] as const
    for (const [user, by, other] of silenced) await app.pool.query(silence[by], [user, other])
    await untilFinished(app)
    const { rows } = await app.pool.query(
      `select user_id::int, decided_by from notify.sources where decision = 'suppressed' order by user_id`,
    )
    const expected = silenced.map(([user, by]) => ({ user_id: user, decided_by: by === 'blocked' ? 'block' : by }))
    t.same(
      rows,
      expected.toSorted((a, b) => Number(a.user_id) - Number(b.user_id)),
    )
    t.same(await outcome(app, post.id), { notifications: 194, users: 194, sources: 200 })
  },
)

t.test('the single-statement path writes the same as dispatch', async (t) => {
  const app = await appWith(t, 20)
  await maintainDeliveryLog(app.pool, app.log, 30)
  await app.pool.query(
    `insert into social.follows (follower_id, followee_id) select u, ${AUTHOR} from generate_series(2, 11) u`,
  )
  await app.pool.query(`update notify.inbox set reachable_by = '{email}' where user_id % 2 = 0`)
  await createPost(app, actor, 'Hello')
  await untilFinished(app)
  const distinct = (table: string, but: string) =>
    app.pool.query(
      `select user_id < 12 as followed, count(*)::int as people, count(distinct to_jsonb(x) - $1::text[])::int as forms
       from ${table} x where user_id <> ${AUTHOR} group by 1 order by 1`,
      [but.split(' ')],
    )
  const same = [
    { followed: false, people: 10, forms: 1 },
    { followed: true, people: 10, forms: 1 },
  ]
  t.same((await distinct('notify.notifications', 'user_id created_at updated_at expires_at')).rows, same)
  t.same((await distinct('notify.sources', 'user_id decided_at event_id')).rows, same)
  t.same((await distinct('notify.inbox', 'user_id reachable_by grown_at')).rows, same)
  const log = `(select recipient_id as user_id, l.* from notify.delivery_history l)`
  t.same((await distinct(log, 'user_id recipient_id id at created_at')).rows, same)
})

async function appWith(t: Test, audience: number): Promise<App> {
  const app = await inboxApp(t)
  await fillAudience(app.pool, audience)
  return app
}

/** Works at the fan-outs as a worker would, and starts again when it is cut off. */
async function untilFinished(app: App): Promise<void> {
  while (await unfinished(app)) {
    await runFanOuts(app, allFanOuts).catch(() => {})
    await app.pool.query('update notify.fan_outs set due_at = now() where finished_at is null and due_at > now()')
  }
}

async function unfinished({ pool }: App): Promise<boolean> {
  return (await pool.query('select from notify.fan_outs where finished_at is null')).rowCount !== 0
}

/** Ends connections that are in the middle of a chunk, a limited number of times; returns how many it ended. */
async function cutOffWorkers(app: App, times: number): Promise<number> {
  let cutOff = 0
  while (cutOff < times && (await unfinished(app))) {
    const { rowCount } = await app.pool.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where datname = current_database() and pid <> pg_backend_pid() and query like '%with plain as%' and state = 'active' limit 1`,
    )
    cutOff += rowCount ?? 0
    await sleep(20)
  }
  return cutOff
}

/** No worker reads the log in these tests, so posts are not counted. */
async function drift({ pool }: App): Promise<unknown[]> {
  const text = `select * from ops.count_drift where counter <> 'users.post_count'`
  return (await patiently(pool, (client) => client.query(text))).rows
}

async function retryAll(app: App): Promise<number> {
  await app.pool.query('update notify.pending set due_at = now()')
  return retryPending(app.pool, pino({ level: 'silent' }), { notifications: dispatchWith(app.types, actions) })
}

async function outcome(
  { pool }: App,
  postId: string,
): Promise<{ notifications: number; users: number; sources: number }> {
  const { rows } = await pool.query(
    `select count(*)::int as notifications, count(distinct user_id)::int as users,
       (select count(*)::int from notify.sources where source_id = 'post:' || $1::text) as sources
     from notify.notifications where type = 'post.published' and object_id = $1::text`,
    [postId],
  )
  return rows[0]
}
