import pg from 'pg'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { makePast, type Past } from '../../faults/past.ts'
import { type App, closeApp, createApp } from '../../src/app.ts'
import { withClient } from '../../src/db/client.ts'
import { createPool } from '../../src/db/pool.ts'
import { countWith } from '../../src/notify/counters.ts'
import { dispatchWith } from '../../src/notify/dispatch/dispatch.ts'
import { acknowledge } from '../../src/notify/inbox/acknowledge.ts'
import { changesSince } from '../../src/notify/inbox/changes.ts'
import { type Consumer, consumeBatch } from '../../src/notify/outbox/consume.ts'
import { limits } from '../../src/push/limits.ts'
import { actions } from '../../src/social/actions.ts'
import { likeWriter } from '../../src/social/likes/routes.ts'
import { likeBatch } from '../../src/social/likes/write.ts'
import { cloneDatabase, eventually, startSystem, testConfig } from '../setup.ts'
import { type Cost, observeStatements } from './observe-statements.ts'

/** Likes of one measurement, each by another user, of another user's post. */
const LIKES = 1000

/** Beside the old snapshot: changes of an inbox in one era, as in the column notify.inbox.era, and authors who get a like in each batch. */
const ERA = 8
const AUTHORS = 100

/** Without whole pages, which depend on the time of the last checkpoint. `pages` by major version of PostgreSQL. */
type Bounds = Omit<Cost, 'wholePages' | 'pages'> & { pages: Record<15 | 18, number> }

/**
 * The figures of the time of writing plus 3 to 5 %; statements, round trips and triggers exactly. A change that costs less
 * lowers its bound, and one that costs more must be worth it. Inboxes are neighbours here: a lookup by an array of users finds
 * many on one page of the index, but among 500,000 inboxes it looks at as many pages as lookups one by one.
 */
const bounds: Record<string, Bounds> = {
  'the likes': {
    statements: 3,
    roundTrips: 3,
    pages: { 15: 25_700, 18: 25_700 },
    triggers: 2003,
    walRecords: 6200,
    walBytes: 440_000,
  },
  'their dispatch': {
    statements: 15,
    roundTrips: 4,
    pages: { 15: 49_300, 18: 47_200 },
    triggers: 0,
    walRecords: 14_500,
    walBytes: 1_568_000,
  },
  'their counters': {
    statements: 7,
    roundTrips: 3,
    // 3,840 to 4,554 in twenty runs, with as many WAL records: only what is read differs.
    pages: { 15: 5500, 18: 5500 },
    triggers: 0,
    // A page read for the first time may be pruned: 65 records once.
    walRecords: 1110,
    walBytes: 86_000,
  },
  'the reads of their frames': {
    statements: 15,
    roundTrips: 15,
    pages: { 15: 17_000, 18: 10_800 },
    triggers: 0,
    // Reading a page may prune what dispatch left there, depending on older transactions.
    walRecords: 500,
    walBytes: 60_000,
  },
}

t.test('1,000 likes, their notifications and their frames cost no more than the stored figures', async (t) => {
  // Enough for the indexes to have more than one level.
  const { url, statements, app } = await observeApp(t, { events: 20_000, notifications: 20_000 })

  const steps: [name: string, run: (firstPost: number) => Promise<void>][] = [
    ['the likes', (firstPost) => like(app, idsFrom(firstPost, LIKES), firstPost === 1 ? LIKES + 1 : 1)],
    ['their dispatch', () => consume(app, 'notifications', dispatchWith(app.types, actions))],
    ['their counters', () => consume(app, 'counters', countWith(actions))],
    ['the reads of their frames', (firstPost) => readFrames(app, firstPost)],
  ]
  // The first likes fill the caches of plans and of the catalogue. Those that are measured concern other inboxes, because a
  // second version of a row may or may not find room on its page: a replication slot of another test prevents pruning.
  for (const [, run] of steps) await run(1)
  const { rows } = await app.pool.query<{ version: number; whole: boolean }>(
    `select current_setting('server_version_num')::int / 10000 as version,
       current_setting('full_page_writes')::boolean as whole`,
  )
  const { version = 0, whole = true } = rows[0] ?? {}
  for (const [name, run] of steps) {
    statements.forget()
    await run(LIKES + 1)
    const { wholePages, ...cost } = statements.cost
    const bound = bounds[name]
    if (!bound) throw new Error(`${name} has no bounds`)
    const limits = { ...bound, pages: bound.pages[version >= 18 ? 18 : 15] }
    t.comment(`${name}: ${JSON.stringify(statements.cost)}`)
    for (const key of ['statements', 'roundTrips', 'pages', 'triggers', 'walRecords', 'walBytes'] as const)
      if (key !== 'walBytes' || wholePages === 0 || !whole)
        t.ok(cost[key] <= limits[key], `${name}: ${key}: ${cost[key]}, at most ${limits[key]}`)
  }
  t.same(await plannedAgain(t, app, url), [], 'no statement on the way of a single like is planned each time')
})

t.test('beside an old snapshot, batches for the same inboxes always look at as many pages', async (t) => {
  const { url, statements, app } = await observeApp(t, { events: 0, notifications: 20_000 })
  const firstPost = (batch: number) => 8 * LIKES + 1 + batch * AUTHORS
  await app.pool.query(`insert into social.posts (id, author_id, body) overriding system value
    select ${firstPost(0)} + i, 1 + i % ${AUTHORS}, 'Another post' from generate_series(0, ${4 * ERA * AUTHORS - 1}) i`)
  const old = new pg.Client({ connectionString: url })
  await old.connect()
  t.teardown(() => old.end())
  await old.query('begin isolation level repeatable read; select count(*) from social.users')
  const pagesOfEras: number[] = []
  for (let batch = 0; batch < 4 * ERA; batch += 1) {
    const ids = idsFrom(firstPost(batch), AUTHORS)
    if (batch % ERA === 0) statements.forget()
    await like(app, ids, AUTHORS + 1)
    await consume(app, 'notifications', dispatchWith(app.types, actions), AUTHORS)
    await consume(app, 'counters', countWith(actions), AUTHORS)
    const requests = ids.map((_, i) => ({ userId: String(i + 1), since: batch, limit: limits.itemsOfLive }))
    const read = await changesSince(app, requests)
    await acknowledge(
      app.pool,
      [...read].map(([userId, { to }]) => ({ userId, modseq: to })),
      'at once',
      'skip',
    )
    if (batch % ERA === ERA - 1) pagesOfEras.push(statements.pages)
  }
  // The first era fills caches and makes plans.
  const [, first = 0, , last = 0] = pagesOfEras
  t.ok(last <= 1.05 * first, `pages of the eras: ${pagesOfEras.join(', ')}`)
})

/** How often PostgreSQL plans a prepared statement before it may keep a plan (manual, "plan_cache_mode"). */
const FIRST_PLANS = 5

/** Takes single likes to their frames and acknowledgements, on one connection. Returns the statements that PostgreSQL plans again for each like. */
async function plannedAgain(t: Test, given: App, url: string): Promise<string[]> {
  const pool = createPool({ url, size: 1, log: given.log, name: 'test' })
  t.teardown(() => pool.end())
  const app = { ...given, pool }
  const dispatch = dispatchWith(app.types, actions)
  for (let user = 1; user <= 3 * FIRST_PLANS; user += 1) {
    const pair = { postId: String(user + 1), userId: String(user), requestId: 'costs' }
    await likeBatch(app.pool, [pair])
    await consume(app, 'notifications', dispatch, 1)
    await changesSince(app, [{ userId: pair.postId, since: 0, limit: limits.itemsOfLive }])
    await acknowledge(app.pool, [{ userId: pair.postId, modseq: user }], 'soon', 'skip')
  }
  const { rows } = await app.pool.query<{ name: string; again: boolean }>(
    `select name, custom_plans > $1 as again from pg_prepared_statements where generic_plans + custom_plans > $1`,
    [FIRST_PLANS],
  )
  t.ok(rows.length > 15, `${rows.length} statements ran often enough`)
  return rows.filter(({ again }) => again).map(({ name }) => name)
}

/** As `npm start` has them. Tests have shorter ones. */
const intervals = { POLL_INTERVAL_MS: '100', SWEEP_INTERVAL_MS: '5000' }

t.test('idle processes repeat no statement more than once a second, but the poll of one worker', async (t) => {
  const url = await cloneDatabase(t)
  const statements = await observeStatements(t, url)
  const systems = [1, 2].map(() => startSystem(t, url, { env: intervals, worker: true, push: true }))
  const [system] = await Promise.all(systems)
  await eventually(async () => (await system?.pool.query('select from notify.workers'))?.rowCount === systems.length)
  statements.forget()
  const begun = performance.now()
  const polls = () => statements.sent.get('due_work') ?? 0
  await eventually(() => polls() >= 40)
  const seconds = (performance.now() - begun) / 1000
  t.ok(polls() <= 11 * seconds + 12, `${polls()} polls of two workers in ${seconds} s`)
  const most = 2 * (seconds + 1) + 2
  const often = [...statements.sent].filter(([text, n]) => n > most && text !== 'due_work' && !ofJobs.test(text))
  t.same(often, [])
})

/**
 * Statements of new connections, and of jobs that may run meanwhile: by cron, and once a second because positions move past
 * open transactions, of which a server that other tests use always has some.
 */
const ofJobs = /(^begin|^commit|_positions?$|^read_|\/graphile_worker$|notify\.is_adopted)/i

/** Disables autovacuum, because a cleaning between two steps changes the writes of the next one. */
const disableAutovacuum = `
  do $$ declare found regclass; begin
    for found in select oid from pg_class where relkind = 'r' and relnamespace in ('notify'::regnamespace, 'social'::regnamespace) loop
      execute format('alter table %s set (autovacuum_enabled = off)', found);
    end loop;
  end $$`

/** Hints are coalesced, types are reloaded and idle connections are replaced by time: none of these happens here. */
async function observeApp(t: Test, past: Past) {
  const url = await cloneDatabase(t, { windowSeconds: 0 })
  await makePast(url, past)
  await withClient(url, (client) => client.query(disableAutovacuum))
  const statements = await observeStatements(t, url)
  const app = createApp(testConfig(url, { WAKE_UPS: 'off' }), pino({ level: 'silent' }))
  t.teardown(() => closeApp(app))
  app.pool.options.idleTimeoutMillis = 0
  const types = await app.types.current()
  app.types.current = async () => types
  await addPeople(app)
  return { url, statements, app }
}

/**
 * Inserts users 1 to 2,000 with one post each, which has the same id. Three other posts lie between any two of them, as
 * between the liked posts of a real batch. If all posts of a page changed together, their new versions would not fit
 * there.
 */
async function addPeople({ pool }: App): Promise<void> {
  for (const statement of [
    `insert into social.users (id, username, email, password_hash, display_name) overriding system value
     select i, 'user_' || i, 'user_' || i || '@example.org', '-', 'User ' || i from generate_series(1, ${2 * LIKES}) i`,
    `insert into notify.inbox (user_id) select id from social.users where id <= ${2 * LIKES}`,
    `insert into social.posts (id, author_id, body) overriding system value
     select i, (i - 1) % ${2 * LIKES} + 1, 'Post ' || i from generate_series(1, ${8 * LIKES}) i order by (i - 1) % ${2 * LIKES}, i`,
    'vacuum (analyze) social.users, social.posts, notify.inbox',
  ])
    await pool.query(statement)
}

function idsFrom(first: number, length: number): number[] {
  return Array.from({ length }, (_, i) => first + i)
}

/** Each post is liked by another user. */
async function like(app: App, postIds: number[], firstUser: number): Promise<void> {
  const writer = likeWriter(app)
  const outcomes = await Promise.all(
    postIds.map((postId, i) =>
      writer.add('like', { postId: String(postId), userId: String(firstUser + i), requestId: 'costs' }),
    ),
  )
  if (outcomes.includes(null)) throw new Error('a like was refused')
}

async function consume({ pool }: App, consumer: string, apply: Consumer, likes = LIKES): Promise<void> {
  const result = await consumeBatch(pool, { consumer, allBut: [] }, apply, { limit: LIKES + 1, onBusy: 'wait' })
  if (result === 'held' || result.events.length !== likes) throw new Error(`${consumer}: not one batch of all likes`)
}

/** As a push node with all recipients connected reads them. */
async function readFrames(app: App, firstUser: number): Promise<void> {
  for (let user = firstUser; user < firstUser + LIKES; user += limits.usersPerRead) {
    const requests = Array.from({ length: limits.usersPerRead }, (_, i) => ({
      userId: String(user + i),
      since: 0,
      limit: limits.itemsOfLive,
    }))
    const read = await changesSince(app, requests)
    if (![...read.values()].every(({ upserts }) => upserts.length > 0)) throw new Error('a notification is missing')
  }
}
