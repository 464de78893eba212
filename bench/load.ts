import { randomUUID } from 'node:crypto'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { Pool } from 'undici'
import { WebSocket } from 'ws'
import { signAccessToken } from '../src/accounts/tokens.ts'
import { type Config, readConfig } from '../src/config.ts'
import { databaseUrlOf } from '../src/db/running-embedded.ts'
import type { ServerFrame } from '../src/push/protocol.ts'
import { keepSecrets } from '../src/secrets.ts'

/**
 * `npm run load -- --likes 200000 --users 5000 --posts 10000`: pushes likes through a running system over HTTP, with
 * websockets of some of the authors connected, and checks when everything has settled that nothing was lost or doubled.
 * Reads the environment as the server does: DATABASE_URL and JWT_SECRET, or DATA_DIR of a running `npm start`. Adds its own
 * users and posts and leaves them there.
 */
const { values } = parseArgs({
  options: {
    url: { type: 'string', default: 'http://127.0.0.1:3000' },
    likes: { type: 'string', default: '200000' },
    users: { type: 'string', default: '5000' },
    posts: { type: 'string', default: '10000' },
    sockets: { type: 'string', default: '500' },
    connections: { type: 'string', default: '64' },
    /** Likes a second; 0: the next one as soon as one is answered. */
    rate: { type: 'string', default: '0' },
  },
})
const url = values.url
const likes = Number(values.likes)
const rate = Number(values.rate)
const config = await findDatabase()
const db = new pg.Pool({ connectionString: config.databaseUrl, max: 4 })

/** Processes notice a change of types within two seconds. */
const TYPES_NOTICED_MS = 3000

type Person = { id: string; token: string }
type Post = { id: string; author: number; likes: number; answeredAt: number[]; shownAt: number[] }

// Every event is shown at once while this runs: what was liked is looked for right after.
const { rows: windows } = await db.query<{ type: string; seconds: number }>(
  'select type, window_seconds as seconds from notify.types where window_seconds > 0',
)
await db.query('update notify.types set window_seconds = 0')
await new Promise((resolve) => setTimeout(resolve, TYPES_NOTICED_MS))
const people = await makePeople(Number(values.users))
const posts = await makePosts(Number(values.posts))
const postsById = new Map(posts.map((post) => [post.id, post]))
const inboxes = await Promise.all(people.slice(0, Number(values.sockets)).map(openSocket))
console.log(`${people.length} users, ${posts.length} posts, ${inboxes.length} websockets; ${likes} likes`)

const startedAt = performance.now()
let retried = 0
await pushLikes()
const answeredAt = performance.now()
await settle()
const settledAt = performance.now()

console.log(
  `${perSecond(likes, answeredAt)} likes a second answered, ${perSecond(likes, settledAt)} events a second dispatched`,
)
if (retried > 0) console.log(`${retried} requests were answered 503 and tried again`)
printLatencies()
const failures = [...(await checkDatabase()), ...(await checkSockets())]
for (const { socket } of inboxes) socket.close()
for (const { type, seconds } of windows)
  await db.query('update notify.types set window_seconds = $2 where type = $1', [type, seconds])
await db.end()
console.log(failures.length === 0 ? 'Everything is right.' : `${failures.length} checks failed`)
process.exitCode = failures.length === 0 ? 0 : 1

async function findDatabase(): Promise<Config> {
  // A server refuses tokens that live longer than its own: give both the same ACCESS_TOKEN_TTL for a load of more than a quarter of an hour.
  const given = readConfig(process.env)
  const jwtSecret = given.embedded ? (await keepSecrets(given.dataDir)).jwtSecret : given.jwtSecret
  return { ...given, jwtSecret, databaseUrl: await databaseUrlOf(given) }
}

/** Signing up costs a password hash each, so the accounts are made in one statement; nobody can sign in to them. */
async function makePeople(count: number): Promise<Person[]> {
  const { rows } = await db.query<{ userId: string; sessionId: string }>(
    `with made as (
       insert into social.users (username, email, password_hash, display_name, post_count)
       select name, name || '@load.invalid', '!', name, $2::int / $1::int + (i <= $2::int % $1::int)::int
       from (select i, 'load_' || $3 || '_' || i as name from generate_series(1, $1::int) i) n returning id
     ), inboxes as (insert into notify.inbox (user_id) select id from made)
     insert into social.sessions (user_id, expires_at) select id, now() + interval '1 day' from made
     returning user_id as "userId", id as "sessionId"`,
    [count, Number(values.posts), randomUUID().slice(0, 8)],
  )
  const byId = rows.sort((a, b) => Number(a.userId) - Number(b.userId))
  return byId.map((row) => ({ id: row.userId, token: signAccessToken(config, { ...row, role: 'user' }) }))
}

async function makePosts(count: number): Promise<Post[]> {
  const authors = Array.from({ length: count }, (_, i) => i % people.length)
  const { rows } = await db.query<{ id: string; authorId: string }>(
    `insert into social.posts (author_id, body) select a, 'Like this' from unnest($1::bigint[]) a
     returning id, author_id as "authorId"`,
    [authors.map((author) => people[author]?.id)],
  )
  const places = new Map(people.map((person, place) => [person.id, place]))
  return rows.map(({ id, authorId }) => ({
    id,
    author: places.get(authorId) ?? 0,
    likes: 0,
    answeredAt: [],
    shownAt: [],
  }))
}

type Inbox = { socket: WebSocket; person: Person; state: number; items: Map<string, number>; problems: string[] }

/** A socket that folds what it is sent as the contract says, and notes what does not fit together. */
function openSocket(person: Person): Promise<Inbox> {
  const socket = new WebSocket(`${url.replace(/^http/, 'ws')}/ws`, 'ravenpost.v1')
  const inbox: Inbox = { socket, person, state: 0, items: new Map(), problems: [] }
  socket.on('open', () => socket.send(JSON.stringify({ type: 'hello', token: person.token })))
  socket.on('close', (code) => inbox.problems.push(`closed with ${code}`))
  return new Promise((resolve, reject) => {
    socket.on('error', reject)
    socket.on('message', (data) => {
      const frame: ServerFrame = JSON.parse(data.toString())
      if (frame.type === 'changes') fold(inbox, frame)
      if (frame.type === 'synced') resolve(inbox)
    })
  })
}

function fold(inbox: Inbox, { from, to, upserts, removes }: Extract<ServerFrame, { type: 'changes' }>): void {
  const now = performance.now()
  if (numberOf(from) > inbox.state) inbox.problems.push(`missed what is between ${inbox.state} and ${from}`)
  if (numberOf(to) <= inbox.state && upserts.length > 0) inbox.problems.push(`${to} was sent twice`)
  inbox.state = numberOf(to)
  for (const id of removes) inbox.items.delete(id)
  for (const { id, object, actorCount } of upserts) {
    inbox.items.set(id, actorCount)
    const shownAt = postsById.get(object?.id ?? '')?.shownAt
    while (shownAt && shownAt.length < actorCount) shownAt.push(now)
  }
  if (upserts.length > 0) inbox.socket.send(JSON.stringify({ type: 'ack', state: to }))
}

function numberOf(state: string): number {
  return Number(state.split('.')[1])
}

/** Every user likes the same number of posts, no pair twice; some are the user's own, of which nobody is told. */
async function pushLikes(): Promise<void> {
  const connections = Number(values.connections)
  const pool = new Pool(url, { connections })
  let next = 0
  const pump = async () => {
    for (let i = next++; i < likes; i = next++) {
      if (rate > 0) await pause(startedAt + (i / rate) * 1000 - performance.now())
      const [who, nth] = [i % people.length, Math.floor(i / people.length)]
      const [person, post] = [people[who], posts[(who * 7 + nth * 251) % posts.length]]
      if (person && post) await likePost(pool, person, post, post.author === who)
    }
  }
  await Promise.all(Array.from({ length: connections }, pump))
  await pool.close()
}

async function likePost(pool: Pool, { token }: Person, post: Post, own: boolean): Promise<void> {
  for (;;) {
    const headers = { authorization: `Bearer ${token}` }
    const { statusCode, body } = await pool.request({ method: 'POST', path: `/posts/${post.id}/like`, headers })
    const text = await body.text()
    if (statusCode === 200) break
    if (statusCode !== 503) throw new Error(`a like was answered ${statusCode}: ${text}`)
    retried++
    await pause(200)
  }
  post.likes++
  if (!own) post.answeredAt.push(performance.now())
}

/** Until every event is read and nothing waits for another attempt; then a moment for the last frames. */
async function settle(): Promise<void> {
  for (;;) {
    const { rows } = await db.query<{ left: number }>(
      'select ((select sum(events) from ops.lag) + (select count(*) from ops.pending))::int as left',
    )
    if (rows[0]?.left === 0) return
    await pause(100)
  }
}

function perSecond(count: number, until: number): number {
  return Math.round((count * 1000) / (until - startedAt))
}

/** The nth like of a post that was answered is shown when the author's socket hears of n actors, perhaps before the answer. */
function printLatencies(): void {
  const latencies = posts
    .flatMap(({ answeredAt, shownAt }) =>
      answeredAt.flatMap((at, n) => (shownAt[n] ? [Math.max(0, shownAt[n] - at)] : [])),
    )
    .sort((a, b) => a - b)
  const [p50, p99] = [0.5, 0.99].map((part) => latencies[Math.floor(latencies.length * part)]?.toFixed(1))
  console.log(`from answer to frame: p50 ${p50} ms, p99 ${p99} ms of ${latencies.length} likes`)
}

async function checkDatabase(): Promise<string[]> {
  const { rows: drift } = await db.query('select * from ops.count_drift limit 5')
  const { rows: counts } = await db.query<{ id: string; n: number }>(
    'select id, like_count as n from social.posts where id = any($1::bigint[])',
    [posts.map((post) => post.id)],
  )
  const wrong = counts.filter(({ id, n }) => postsById.get(id)?.likes !== n)
  await pause(1500) // backends report their statistics once a second
  const { rows: dead } = await db.query(
    `select s.relname, s.n_dead_tup::int as n from pg_inherits i join pg_stat_all_tables s on s.relid = i.inhrelid
     where i.inhparent = 'notify.outbox'::regclass and s.n_dead_tup > 0`,
  )
  return [
    ...check('ops.count_drift is empty', drift),
    ...check(`the like counts of ${counts.length} posts are right`, wrong),
    ...check('the outbox has no dead tuples', dead),
  ]
}

async function checkSockets(): Promise<string[]> {
  const problems: string[] = []
  for (const inbox of inboxes) {
    const stored = await until(10_000, async () => {
      const items = await storedItems(inbox)
      return sameItems(inbox.items, items) ? items : undefined
    })
    if (!stored) inbox.problems.push('holds other notifications than the database')
    problems.push(...inbox.problems.map((problem) => `user ${inbox.person.id}: ${problem}`))
  }
  const watched = posts.filter((post) => post.author < inboxes.length)
  const unseen = watched.filter((post) => post.shownAt.length !== post.answeredAt.length)
  const known = inboxes.reduce((sum, { items }) => sum + [...items.values()].reduce((a, b) => a + b, 0), 0)
  return [
    ...check(`${inboxes.length} sockets hold what the database holds, without a gap or a repeat`, problems),
    ...check(
      `they know of every like, ${known} in all`,
      unseen.map((post) => `post ${post.id}`),
    ),
  ]
}

async function storedItems({ person }: Inbox): Promise<Map<string, number>> {
  const { rows } = await db.query<{ id: string; n: number }>(
    'select id, actor_count as n from notify.notifications where user_id = $1',
    [person.id],
  )
  return new Map(rows.map(({ id, n }) => [id, n]))
}

function sameItems(held: Map<string, number>, stored: Map<string, number>): boolean {
  return held.size === stored.size && [...stored].every(([id, n]) => held.get(id) === n)
}

function check(what: string, exceptions: unknown[]): string[] {
  console.log(`${exceptions.length === 0 ? 'ok    ' : 'NOT OK'} ${what}`)
  for (const exception of exceptions.slice(0, 5)) console.log(`       ${JSON.stringify(exception)}`)
  return exceptions.length === 0 ? [] : [what]
}

async function until<T>(milliseconds: number, condition: () => Promise<T | undefined>): Promise<T | undefined> {
  const deadline = performance.now() + milliseconds
  for (;;) {
    const found = await condition()
    if (found || performance.now() > deadline) return found
    await pause(50)
  }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => (milliseconds > 0 ? setTimeout(resolve, milliseconds) : resolve()))
}
