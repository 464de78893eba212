import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { signAccessToken } from '../../src/social/sessions/tokens.ts'
import { CRITICAL, passBacklog, sendCritical } from '../harness/critical.ts'
import { meter, perUnit } from '../harness/metering.ts'
import {
  type Bench,
  inTurn,
  type Measured,
  maxOf,
  medianOf,
  quickWorld,
  type Scenario,
  target,
} from '../harness/scenario.ts'
import { connectAll, type System, warmUp, withSystem } from '../harness/with-system.ts'
import { residentBytes } from '../machine/cost.ts'
import { ravenpost } from '../stacks/ravenpost.ts'
import { JWT_SECRET, usersOf } from '../world.ts'

const MIB = 2 ** 20
const WARM_UP = 500
/** Ordinary likes per second during the fan-out. */
const LIKES = 50
const LONGEST_S = 240
const BACKLOG = 100_000

/** Starts the fan-out by the author's requests. */
type Publish = (call: (path: string, body: object) => Promise<{ id: string }>) => Promise<void>
type Kind = { name: string; type: string; publish: Publish }

const post: Kind = {
  name: ravenpost.name,
  type: 'post.published',
  publish: async (call) => void (await call('/posts', { body: 'Hello, everybody' })),
}
const broadcast: Kind = {
  name: `${ravenpost.name}, a broadcast`,
  type: 'system',
  publish: async (call) => {
    const { id } = await call('/admin/broadcasts', {
      name: 'All',
      content: { title: 'Hello, everybody' },
      everyone: true,
    })
    await call(`/admin/broadcasts/${id}/send`, {})
  },
}

export const largeFanOut: Scenario = {
  id: 'P6',
  title:
    'Fan-out of one post, and of one broadcast, to 1,000,000 users, ordinary likes and critical events meanwhile; critical events behind a backlog',
  mostRuns: 2,
  async run(bench) {
    const rows = await inTurn(bench, [post, broadcast], (kind) => measure(bench, kind))
    const speed = medianOf(rows, post.name, 'recipients/s')
    const ofBroadcast = medianOf(rows, broadcast.name, 'recipients/s')
    const most = (figure: string) => Math.max(...[post, broadcast].map(({ name }) => maxOf(rows, name, figure)))
    const growth = most('worker: MiB grown in the second half')
    const like = most('like to frame: max ms')
    const critical = medianOf(rows, post.name, 'critical to row: p99 ms')
    const passing = medianOf(rows, post.name, 'critical past a backlog: p99 ms')
    const drift = most('not told') + most('told twice') + most('count drift')
    return {
      rows,
      targets: [
        target('≥ 40,000 recipients a second', speed, speed >= 40_000, '/s'),
        target('≥ 40,000 recipients of a broadcast a second', ofBroadcast, ofBroadcast >= 40_000, '/s'),
        target('memory flat: the second half takes no more than 16 MiB above the first', growth, growth <= 16, 'MiB'),
        target('everybody told once, every count right', drift, drift === 0, 'wrong'),
        target('no like is delayed by more than 250 ms', like, like <= 250, 'ms'),
        target('critical events within 60 ms', critical, critical <= 60, 'ms'),
        target('critical events pass a backlog within 60 ms', passing, passing <= 60, 'ms'),
      ],
      notes: [
        `${audienceOf(bench).toLocaleString('en')} subscribers; ${LIKES} likes a second over HTTP to other users with sockets, from the answer to the frame; ${CRITICAL} critical events a second, from the commit to the stored notification, looked for every 5 ms. Afterwards the same while a backlog of ${backlogOf(bench).toLocaleString('en')} likes is worked off.`,
      ],
    }
  },
}

function audienceOf({ quick }: Bench): number {
  return quick ? 10_000 : 1_000_000
}

function backlogOf({ quick }: Bench): number {
  return quick ? BACKLOG / 50 : BACKLOG
}

function measure(bench: Bench, { type, publish }: Kind): Promise<Measured> {
  const [audience, backlog] = [audienceOf(bench), backlogOf(bench)]
  const own = { recipients: 500, likers: 1000, posts: WARM_UP + LIKES * LONGEST_S + backlog }
  const world = bench.quick ? quickWorld : own
  return withSystem(bench, ravenpost, world, ['api', 'worker', 'push'], async (given) => {
    const { system, load } = given
    const author = usersOf(world)
    const client = new pg.Client({ connectionString: system.databaseUrl })
    await client.connect()
    await addAudience(client, author, audience)
    await connectAll(given, world)
    await warmUp(given, WARM_UP)

    const costs = await meter(system.databaseUrl, () => system.roots)
    const memory = watchMemory(system.parts.get('worker')?.pid ?? 0)
    const url = system.urlOf('api')
    const startedAt = performance.now()
    await publish((path, body) => callAs(url, author, path, body))
    const finished = finishOf(client)
    const running = async () => finished.at === null
    const liking = likeUntil(given, url, running)
    const critical = await sendCritical(system.databaseUrl, world, running)
    const seconds = ((await finished.seen) - startedAt) / 1000
    const likes = await liking
    const cost = await costs()
    const { 'CPU ms': cpu, 'WAL bytes': wal } = perUnit(cost, audience)
    const outcome = await outcomeOf(client, audience, type)
    await load.reset()
    const resident = memory()
    const passing = await passBacklog(given, world, world.posts - backlog + 1, world.posts)
    await client.end()
    return {
      'recipients/s': audience / seconds,
      seconds,
      'CPU ms': cpu ?? 0,
      'WAL bytes': wal ?? 0,
      ...resident,
      ...likes,
      'critical to row: p50 ms': critical.p50,
      'critical to row: p99 ms': critical.p99,
      ...passing,
      ...outcome,
    }
  })
}

/** Inserts users without sockets who subscribe to the author's posts, by set-based statements. Makes the author an admin, for broadcasts. */
async function addAudience(client: pg.Client, author: number, size: number): Promise<void> {
  await client.query('set synchronous_commit = off')
  for (const statement of [
    `insert into social.users (username, email, password_hash, display_name)
     select 'member_' || i, 'member_' || i || '@example.org', '-', 'Member ' || i from generate_series(1, ${size}) i`,
    `insert into notify.inbox (user_id) select id from social.users where username like 'member%'`,
    `insert into social.bells (author_id, user_id) select ${author}, id from social.users where username like 'member%'`,
    `update social.users set role = 'admin' where id = ${author}`,
    'vacuum analyze social.users, notify.inbox, social.bells',
    'checkpoint',
  ])
    await client.query(statement)
}

/** Sends a POST as an admin. */
async function callAs(url: string, userId: number, path: string, body: object): Promise<{ id: string }> {
  const token = signAccessToken(
    { jwtSecret: JWT_SECRET, accessTokenTtl: 600 },
    { userId: String(userId), sessionId: String(userId), role: 'admin' },
  )
  const answer = await fetch(`${url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  if (!answer.ok) throw new Error(`${path} was answered with ${answer.status} ${await answer.text()}`)
  return (await answer.json()) as { id: string }
}

type Finish = { at: number | null; seen: Promise<number> }

/** Time at which the last fan-out ended. Polled during the load, because the load ends later. */
function finishOf(client: pg.Client): Finish {
  const finish: Finish = { at: null, seen: Promise.resolve(0) }
  finish.seen = (async () => {
    const unfinished = () =>
      client.query(
        `(select from notify.fan_outs where finished_at is null limit 1) union all select from notify.broadcasts where state <> 'finished'`,
      )
    while ((await unfinished()).rowCount !== 0) await sleep(10)
    finish.at = performance.now()
    return finish.at
  })()
  return finish
}

/** Sends likes second by second, as long as the fan-out runs. */
async function likeUntil({ load }: System, url: string, running: () => Promise<boolean>): Promise<Measured> {
  let [post, answered, failed] = [WARM_UP + 1, 0, 0]
  do {
    const sent = await load.like({ url, firstPost: post, seconds: 1, rate: LIKES })
    post = sent.nextPost
    answered += sent.answered
    failed += sent.failed
  } while (await running())
  const { arrived, doubled, fromAnswer } = await load.expect({ count: answered, withinMs: 60_000 })
  return {
    'like to frame: p50 ms': fromAnswer.p50,
    'like to frame: p99 ms': fromAnswer.p99,
    'like to frame: max ms': fromAnswer.max,
    'likes failed': failed,
    'likes lost': Math.max(0, answered - arrived),
    'likes doubled': doubled,
  }
}

/** Samples the resident memory of a process several times a second, until the returned function is called. */
function watchMemory(pid: number): () => Measured {
  const samples = [residentBytes(pid)]
  const timer = setInterval(() => samples.push(residentBytes(pid)), 200)
  return () => {
    clearInterval(timer)
    const middle = samples.length >> 1
    const [first, second] = [samples.slice(0, middle), samples.slice(middle)].map((half) => Math.max(...half) / MIB)
    return {
      'worker: MiB before': (samples[0] ?? 0) / MIB,
      'worker: MiB at most': Math.max(first ?? 0, second ?? 0),
      'worker: MiB grown in the second half': (second ?? 0) - (first ?? 0),
    }
  }
}

async function outcomeOf(client: pg.Client, audience: number, type: string): Promise<Measured> {
  const { rows } = await client.query<{ told: number; people: number; drift: number }>(
    `select count(*)::int as told, count(distinct n.user_id)::int as people,
       (select count(*)::int from ops.count_drift where counter like 'inbox.%' or counter like 'notifications.%') as drift
     from notify.notifications n join social.users u on u.id = n.user_id where n.type = $1 and u.username like 'member%'`,
    [type],
  )
  const { told = 0, people = 0, drift = 0 } = rows[0] ?? {}
  return { 'not told': audience - people, 'told twice': told - people, 'count drift': drift }
}
