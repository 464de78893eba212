import type pg from 'pg'
import { pino } from 'pino'
import type { App } from '../../src/app.ts'
import { createWakeUps } from '../../src/base/wake-ups.ts'
import { createKysely } from '../../src/db/kysely.ts'
import { LongReads } from '../../src/db/long-reads.ts'
import { inTransaction } from '../../src/db/transaction.ts'
import { Reader } from '../../src/http/shown-sql/reader.ts'
import { type Sender, sendDeliveries } from '../../src/notify/channels/send.ts'
import { countWith } from '../../src/notify/counters.ts'
import { dispatchWith } from '../../src/notify/dispatch/dispatch.ts'
import { runFanOuts } from '../../src/notify/fan-outs/run.ts'
import { acknowledge } from '../../src/notify/inbox/acknowledge.ts'
import { changesSince } from '../../src/notify/inbox/changes.ts'
import { listNotifications } from '../../src/notify/inbox/list.ts'
import type { InboxResult } from '../../src/notify/inbox/lock.ts'
import { archive, markRead, markSeen, markUnread, remove, unarchive } from '../../src/notify/inbox/mark.ts'
import { consumeBatch } from '../../src/notify/outbox/consume.ts'
import { eventColumns, type OutboxEvent } from '../../src/notify/outbox/event.ts'
import { retryPending, setAside } from '../../src/notify/outbox/pending.ts'
import type { Lanes } from '../../src/notify/outbox/position.ts'
import { lanesWithWork } from '../../src/notify/outbox/read.ts'
import { readProgress } from '../../src/notify/sends/progress.ts'
import { send } from '../../src/notify/sends/send.ts'
import { NotificationTypes } from '../../src/notify/types/types.ts'
import { flushWindows } from '../../src/notify/windows/flush.ts'
import { readWelcomes } from '../../src/push/connections/welcomes.ts'
import { actions } from '../../src/social/actions.ts'
import { followBatch, unfollowBatch } from '../../src/social/follows/write.ts'
import { likeBatch, unlikeBatch } from '../../src/social/likes/write.ts'
import { live } from '../../src/social/live.ts'
import { freeMedia } from '../../src/social/media/free.ts'
import { attachMedia } from '../../src/social/media/use.ts'
import { searchPosts } from '../../src/social/posts/search.ts'
import { RevokedSessions } from '../../src/social/sessions/revoked-sessions.ts'
import { createSessions } from '../../src/social/sessions/tokens.ts'
import { allFanOuts } from '../../src/worker/context.ts'
import { purge } from '../../src/worker/retention.ts'
import { testConfig } from '../setup.ts'
import { createPost } from '../social/posts/write.ts'
import { HOT_USER, USERS } from './real-sizes.ts'

/** An operation on many rows. `base` separates the runs of one operation: each run uses the `n` numbers after it. */
export type Operation = {
  name: string
  prepare?: (pool: pg.Pool, n: number, base: number) => Promise<unknown>
  /** Walks a whole table by design, a chunk at a time. */
  walks?: true
  /** Returns how many rows it was done for. */
  run: (pool: pg.Pool, n: number, base: number) => Promise<number>
}

const log = pino({ level: 'silent' })
const count = (n: number, item: (i: number) => number) => Array.from({ length: n }, (_, i) => String(item(i)))
const pairs = (lefts: string[], rights: string[]) => lefts.map((left, i) => [left, rights[i] ?? ''] as const)
const numbers = (base: number, n: number) => [base + 1, base + n]

const likes = (n: number, post: (i: number) => number, user: (i: number) => number) =>
  pairs(count(n, post), count(n, user)).map(([postId, userId]) => ({ postId, userId, requestId: 'r' }))
const follows = (n: number, follower: (i: number) => number, followee: (i: number) => number) =>
  pairs(count(n, follower), count(n, followee)).map(([followerId, followeeId]) => ({
    followerId,
    followeeId,
    requestId: 'r',
  }))
const found = (outcomes: unknown[]) => outcomes.filter(Boolean).length

const sendToMany = (pool: pg.Pool, n: number, base: number) =>
  inTransaction(pool, (trx) =>
    send(trx, 'user:1', 'r', {
      recipientIds: count(n, (i) => 1 + ((base + i) % USERS)),
      title: 'Hello',
      message: '',
      sourceId: `plans:${base}`,
    }),
  )

const requests: Operation[] = [
  { name: 'a send to many', run: async (pool, n, base) => (await sendToMany(pool, n, base)).accepted },
  {
    name: 'the progress of a send',
    prepare: sendToMany,
    run: async (pool) => {
      const { rows } = await pool.query<{ id: string }>('select max(id) as id from notify.sends')
      return (await readProgress(pool, rows[0]?.id ?? '', null))?.total ?? 0
    },
  },
  {
    name: 'likes of many posts',
    run: async (pool, n, base) =>
      found(
        await likeBatch(
          pool,
          likes(
            n,
            (i) => 1 + (base + i) * 11,
            (i) => 1 + (((base + i) * 3) % USERS),
          ),
        ),
      ),
  },
  {
    name: 'likes of one post',
    run: async (pool, n, base) =>
      found(
        await likeBatch(
          pool,
          likes(
            n,
            () => 9000, // nobody who likes it and its author block each other
            (i) => base + i + 1,
          ),
        ),
      ),
  },
  {
    name: 'likes taken back',
    run: async (pool, n, base) =>
      found(
        await unlikeBatch(
          pool,
          likes(
            n,
            (i) => 50_000 + base + i,
            (i) => 1 + (((50_000 + base + i) * 7) % USERS),
          ),
        ),
      ),
  },
  {
    name: 'follows',
    run: async (pool, n, base) =>
      found(
        await followBatch(
          pool,
          follows(
            n,
            (i) => base + i + 1,
            (i) => base + i + 9000,
          ),
        ),
      ),
  },
  {
    name: 'follows taken back',
    run: async (pool, n, base) =>
      found(
        await unfollowBatch(
          pool,
          follows(
            n,
            (i) => base + i + 10_000,
            (i) => base + i + 10_002,
          ),
        ),
      ),
  },
]

const searches: Operation[] = [
  {
    name: 'a search of posts',
    prepare: (pool, n, base) =>
      pool.query(
        `insert into social.posts (author_id, body) select 1, 'needle' || $3 from generate_series($1::int, $2::int) i`,
        [...numbers(base, n), String(base)],
      ),
    run: async (pool, n, base) =>
      (await searchPosts(pool, '2', { text: `needle${base}`, before: null, limit: n })).length,
  },
]

const consume = (lanes: Lanes) => async (pool: pg.Pool, n: number) => {
  const consumers = { notifications: dispatchWith(typesOf(pool), actions), counters: countWith(actions) }
  const apply = lanes.consumer === 'counters' ? consumers.counters : consumers.notifications
  const batch = () => consumeBatch(pool, lanes, apply, { limit: n, onBusy: 'wait' })
  const first = await batch()
  const result = first !== 'held' && first.events.length === 0 ? await batch() : first // the end of the window before
  return result === 'held' ? 0 : result.events.length
}

const dispatching: Operation[] = [
  { name: 'a batch of a lane', run: consume({ consumer: 'notifications', lane: 0 }) },
  {
    name: 'a batch of the critical lane',
    prepare: appendCritical,
    run: consume({ consumer: 'notifications', lane: 99 }),
  },
  { name: 'a batch of the counters', run: consume({ consumer: 'counters', lane: 0 }) },
  { name: 'setting aside and retrying', prepare: setEventsAside, run: retry },
  { name: 'a pass over all lanes', prepare: appendAnew, run: consume({ consumer: 'notifications', allBut: [] }) },
  { name: 'what the poll asks', run: async (pool, n) => (await lanesWithWork(pool)).length && n },
]

async function appendCritical(pool: pg.Pool, n: number): Promise<void> {
  await pool.query(
    `insert into notify.outbox (critical, counted, action, source_id, type, recipient_id)
     select true, true, 'send', gen_random_uuid()::text, 'system', i from generate_series(1, $1::int) i`,
    [n],
  )
}

/** Copies of events in all shards, so that of the lanes only they are unread. */
async function appendAnew(pool: pg.Pool, n: number): Promise<void> {
  await pool.query(
    `update notify.positions set done = pg_current_snapshot(), target = null, after_shard = null, after_xid = null, after_id = null
     where consumer = 'notifications'`,
  )
  await pool.query(
    `insert into notify.outbox (counted, action, source_id, type, recipient_id, actor_id, object_type, object_id, thread_key, group_key, data)
     select false, action, gen_random_uuid()::text, type, recipient_id, actor_id, object_type, object_id, thread_key, group_key || ' anew', data
     from notify.outbox where not critical and recipient_id is not null and not retracts limit $1`,
    [n],
  )
}

/** Ends windows: of the first likes of many people's posts, or of one post that many like. */
const windows: Operation[] = [
  { name: 'windows of many', prepare: (pool, n, base) => gather(pool, n, base, 'u', '1 + u % 20'), run: flush },
  {
    name: 'a window in which many wait',
    prepare: (pool, n, base) => gather(pool, n, base, String(15_000 + base), 'u'),
    run: flush,
  },
]

/** `n` likes that wait for windows that are due; `owner` and `actor`: whose post, and who likes it, of the number u. */
async function gather(pool: pg.Pool, n: number, base: number, owner: string, actor: string): Promise<void> {
  await pool.query(
    `with likes as (
       select owner as user_id, (owner - 1)::text as post, 'like:' || owner - 1 || ':w' || u as source_id, ${actor} as actor_id
       from generate_series($1::int, $2::int) u, lateral (select ${owner}) x (owner)
     ), opened as (
       insert into notify.windows (user_id, group_key, filter, type, object_type, object_id, thread_key, data, due_at)
       select distinct user_id, 'post.liked:' || post, 'none', 'post.liked', 'post', post, 'post:' || post, '{}'::jsonb, now() from likes
     )
     insert into notify.sources (user_id, source_id, event_id, actor_id, live, notified, waits_for, decision)
     select user_id, source_id, 5, actor_id, false, false, 'post.liked:' || post, 'waiting' from likes`,
    numbers(base + 1, n),
  )
}

async function flush(pool: pg.Pool, n: number): Promise<number> {
  await flushWindows({ ...readerOf(pool), log })
  const { rows } = await pool.query<{ left: number }>(
    'select count(*)::int as left from notify.windows where due_at <= now()',
  )
  return n - (rows[0]?.left ?? n)
}

/** Events at the end of the log, which no lane of these tests reaches. */
async function setEventsAside(pool: pg.Pool, n: number, base: number): Promise<void> {
  const { rows } = await pool.query<OutboxEvent>(
    `select ${eventColumns} from notify.outbox o where shard >= 24 and not critical order by shard desc, xid, id offset $1 limit $2`,
    [base, n],
  )
  const client = await pool.connect()
  await setAside(client, 'notifications', rows, 'a test')
  await client.query(`update notify.pending set due_at = now() - interval '1 minute'`)
  client.release()
}

const typesOf = (pool: pg.Pool) => new NotificationTypes(pool, log)
const readerOf = (pool: pg.Pool) => ({ pool, types: typesOf(pool), log })

function retry(pool: pg.Pool): Promise<number> {
  return retryPending(pool, log, { notifications: dispatchWith(typesOf(pool), actions) })
}

const inboxApp = (pool: pg.Pool): App => {
  const config = testConfig('postgres://127.0.0.1/unused')
  return {
    config,
    log,
    pool,
    db: createKysely(pool),
    reader: new Reader({ config, log, folder: 'src/ops/console/sql' }),
    longReads: new LongReads({ config, log }),
    types: typesOf(pool),
    wakeUps: createWakeUps(pool, log, false),
    revokedSessions: new RevokedSessions(config.accessTokenTtl),
    sessions: createSessions(config),
  }
}
const changing =
  (change: (app: App, n: number, base: number) => Promise<InboxResult>): Operation['run'] =>
  async (pool, n, base) =>
    (await change(inboxApp(pool), n, base)).updated
const ids = (n: number, base: number) => ({ ids: count(n, (i) => base + i + 1) })

const inboxes: Operation[] = [
  {
    name: 'changes of many inboxes',
    run: async (pool, n, base) =>
      (
        await changesSince(
          readerOf(pool),
          count(n, (i) => base + i + 1).map((userId) => ({ userId, since: 8, limit: 100 })),
        )
      ).size,
  },
  {
    name: 'acknowledgements of many inboxes',
    run: async (pool, n, base) => {
      await acknowledge(
        pool,
        count(n, (i) => 10_000 + base + i).map((userId) => ({ userId, modseq: 10 })),
        'soon',
        'skip',
      )
      return n
    },
  },
  {
    name: 'hellos of many sockets',
    prepare: (pool, n, base) =>
      pool.query(
        `insert into social.sessions (id, user_id, expires_at) overriding system value
         select 1000000 + i, 1 + i % ${USERS}, now() + interval '1 day' from generate_series($1::int, $2::int) i`,
        numbers(base, n),
      ),
    run: async (pool, n, base) =>
      found(
        await readWelcomes(
          pool,
          pairs(
            count(n, (i) => 1_000_001 + base + i),
            count(n, (i) => 1 + ((base + i + 1) % USERS)),
          ).map(([sessionId, userId]) => ({ userId, sessionId })),
        ),
      ),
  },
  ...(['all', 'unread', 'pending', 'history'] as const).map((filter) => ({
    name: `a list: ${filter}`,
    run: async (pool: pg.Pool, n: number) =>
      (await listNotifications(readerOf(pool), HOT_USER, { filter, limit: n / 10 })).items.length * 10,
  })),
  { name: 'reading by ids', run: changing((app, n, base) => markRead(app, HOT_USER, ids(n, base))) },
  {
    name: 'unreading one by one',
    run: async (pool, n, base) => {
      for (const id of ids(n, base).ids) await markUnread(inboxApp(pool), HOT_USER, { ids: [id] })
      return n
    },
  },
  { name: 'archiving by ids', run: changing((app, n, base) => archive(app, HOT_USER, ids(n, base))) },
  { name: 'unarchiving by ids', run: changing((app, n, base) => unarchive(app, HOT_USER, ids(n, base))) },
  { name: 'seeing', run: changing((app, n, base) => markSeen(app, HOT_USER, base + n)) },
  { name: 'reading all up to a state', run: changing((app, n, base) => markRead(app, HOT_USER, { upTo: base + n })) },
  { name: 'deleting by ids', run: changing((app, n, base) => remove(app, HOT_USER, ids(n, base))) },
]

const fanOuts: Operation[] = [
  {
    name: 'deletion of a post',
    prepare: async (pool, n, base) => {
      await pool.query(
        `insert into notify.notifications (user_id, id, modseq, grown_modseq, type, thread_key, expires_at)
         select u, 900, 900, 900, 'user.mentioned', 'post:' || $3::int, now() + interval '1 day' from generate_series($1::int, $2::int) u`,
        [...numbers(base, n), base + 1],
      )
      await pool.query(
        'update notify.inbox set unread_count = 99, unseen_count = 99 where user_id between $1 and $2',
        numbers(base, n),
      )
      await pool.query(
        'insert into social.likes select $3::int, u from generate_series($1::int, $2::int) u on conflict do nothing',
        [...numbers(base, n), base + 1],
      )
      await pool.query(
        `insert into notify.fan_outs (kind, object_id, thread_key) values ('retract_post', $1::int, 'post:' || $1::int)`,
        [base + 1],
      )
    },
    run: runAll,
  },
  {
    name: 'deletion of a comment',
    prepare: async (pool, n, base) => {
      await pool.query(
        `insert into notify.notifications (user_id, id, modseq, grown_modseq, type, object_type, object_id, thread_key, expires_at)
         select u, 901, 901, 901, 'user.mentioned', 'comment', $3::text, 'post:hot' || $3, now() + interval '1 day' from generate_series($1::int, $2::int) u`,
        [...numbers(base, n), String(base + 1)],
      )
      await pool.query(
        'update notify.inbox set unread_count = 99, unseen_count = 99 where user_id between $1 and $2',
        numbers(base, n),
      )
      await pool.query(
        `insert into notify.fan_outs (kind, object_id, thread_key) values ('retract_comment', $1::int, 'post:hot' || $1::int)`,
        [base + 1],
      )
    },
    run: runAll,
  },
  {
    name: 'deletion of a user',
    prepare: async (pool, n, base) => {
      await pool.query(
        'insert into social.likes select p, $3 from generate_series($1::int, $2::int) p on conflict do nothing',
        [...numbers(base + 30_000, n), 19_000 + base / 100],
      )
      await pool.query(
        `insert into social.comments (post_id, author_id, body) select p, $3, 'one' from generate_series($1::int, $2::int) p`,
        [...numbers(base + 60_000, n), 19_000 + base / 100],
      )
      await pool.query(`insert into notify.fan_outs (kind, object_id) values ('delete_user', $1)`, [
        19_000 + base / 100,
      ])
    },
    run: runAll,
  },
]

const audiences: Operation[] = [
  { name: 'telling an audience', prepare: (pool, n, base) => publish(pool, n, base), run: runAll },
  {
    name: 'telling an audience with preferences',
    prepare: async (pool, n, base) => {
      await publish(pool, n, base + 5000)
      await pool.query(
        'update notify.inbox set has_preferences = true where user_id between $1 and $2',
        numbers(base + 5000, n),
      )
    },
    run: runAll,
  },
]

/** Writes a post of a user with `n` subscribers. */
async function publish(pool: pg.Pool, n: number, base: number): Promise<void> {
  const author = String(USERS)
  await pool.query('delete from social.bells where author_id = $1', [author])
  await pool.query(
    'insert into social.bells (author_id, user_id) select $3, u from generate_series($1::int, $2::int) u',
    [...numbers(base, n), author],
  )
  await createPost(inboxApp(pool), { userId: author, requestId: 'r' }, 'Post')
}

async function runAll(pool: pg.Pool, n: number): Promise<number> {
  await runFanOuts({ ...readerOf(pool), log }, allFanOuts)
  return n
}

const retention: Operation = {
  name: 'retention',
  walks: true,
  prepare: async (pool, n, base) => {
    const range = numbers(base + 12_000, n)
    await pool.query(
      `update notify.notifications set expires_at = now() - interval '1 day' where user_id between $1 and $2 and id = 3`,
      range,
    )
    await pool.query(
      `update notify.tombstones set removed_at = now() - interval '40 days' where user_id between $1 and $2 and id = 11`,
      range,
    )
    await pool.query(
      `update social.sessions set expires_at = now() - interval '1 day' where id between $1 and $2`,
      range,
    )
    await pool.query(
      `insert into notify.pending (consumer, event_id, event, created_at, dead_at)
       select 'test', i, '{}', now() - interval '40 days', now() - interval '40 days' from generate_series($1::int, $2::int) i`,
      range,
    )
  },
  run: async (pool, n) => {
    await purge({ ...readerOf(pool), config: testConfig('postgres://127.0.0.1/unused'), log })
    return n
  },
}

const accepting: Sender = { send: async () => ({ state: 'sent' }), close() {} }

const sending: Operation[] = (['email', 'webPush'] as const).map((channel) => ({
  name: `sending by ${channel}`,
  prepare: async (pool, n, base) => {
    const range = numbers(base + 4000, n)
    await pool.query(
      `insert into notify.push_subscriptions (user_id, id, endpoint, p256dh, auth, session_id)
       select i, 'primary', 'https://' || i || '.example/x', 'key', 'secret', i from generate_series($1::int, $2::int) i on conflict do nothing`,
      range,
    )
    await pool.query(
      `insert into notify.deliveries (user_id, notification_id, channel, target, grown_modseq, due_at)
       select i, 6, $3, 'primary', 6, now() from generate_series($1::int, $2::int) i`,
      [...range, channel],
    )
  },
  run: async (pool, n) => {
    await sendDeliveries({ ...readerOf(pool), log, senders: { email: accepting, webPush: accepting } })
    return n
  },
}))

/** Media of an otherwise uninvolved user, unused for a long time. */
const uploadMedia = (pool: pg.Pool, n: number, base: number) =>
  pool.query(
    `with contents as (
       insert into social.media_contents (mime, extension, sha256, size)
       select 'image/png', 'png', sha256(('new ' || i)::bytea), 100 from generate_series($1::int, $2::int) i returning id, sha256
     )
     insert into social.media (id, owner_id, content_id, unused_since)
     select translate(left(encode(sha256, 'base64'), 22), '+/', '-_'), 1, id, now() - interval '2 days' from contents`,
    numbers(base, n),
  )

const media: Operation[] = [
  {
    name: 'media into a post',
    prepare: uploadMedia,
    run: async (pool, _n, base) => {
      const { rows } = await pool.query<{ id: string }>('select id from social.media where unused_since < now()')
      const ids = rows.map(({ id }) => id)
      await inTransaction(pool, (trx) => attachMedia(trx, '1', String(50_000 + base), ids))
      return ids.length
    },
  },
  {
    name: 'cleaning unused media',
    prepare: (pool, n, base) => uploadMedia(pool, n, 10_000 + base),
    run: async (pool) => {
      let freed = 0
      const free = () => inTransaction(pool, (trx) => freeMedia(trx, `unused_since < now() - interval '1 day'`))
      for (let some = await free(); some > 0; some = await free()) freed += some
      return freed
    },
  },
]

/** People who write within half a second. */
const AUTHORS = 20

/** What push nodes read: of each of `n` watched posts a new comment, and as many that were deleted. */
const watching: Operation[] = [
  {
    name: 'comments of watched posts',
    prepare: (pool, n, base) =>
      pool.query(
        `with gone as (
           update social.comments set deleted_at = now() where id between $1 and $2
         )
         insert into social.comments (post_id, author_id, body) select i, i, 'New' from generate_series($1::int, $2::int) i`,
        numbers(base, n),
      ),
    run: async (pool, n, base) => {
      const posts = count(n, (i) => base + i + 1)
      const watched = posts.map((postId) => ({ postId, seconds: 30 }))
      const found = await live.changedComments(pool, watched)
      const shown = found.filter(({ state }) => state === 'shown')
      await live.blocked(pool, posts, posts.slice(0, AUTHORS))
      await live.comments(
        pool,
        shown.map(({ id }) => id),
      )
      // Each post once: those of the mode before may be less than half a minute old.
      return new Set(shown.map(({ postId }) => postId)).size
    },
  },
  {
    name: 'posts of watched feeds',
    run: async (pool, n, base) => {
      const ids = count(n, (i) => base + i + 1)
      await live.newPosts(pool, 1)
      await live.followed(pool, ids, ids.slice(0, AUTHORS))
      return n - (await live.deletedPosts(pool, ids)).length
    },
  },
]

export const operations: Operation[] = [
  ...watching,
  ...media,
  ...requests,
  ...dispatching,
  ...windows,
  ...inboxes,
  ...fanOuts,
  ...audiences,
  ...searches,
  ...sending,
  retention,
]
