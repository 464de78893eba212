import { readFile } from 'node:fs/promises'
import { Queue } from 'bullmq'
import { Redis } from 'ioredis'
import type pg from 'pg'
import { FIRST_ID, INBOX } from '../../faults/past.ts'
import type { Machine } from '../machine/machine.ts'
import { type Started, startNode } from '../machine/process.ts'
import { jobOptions, type NotificationJob, QUEUE } from '../usual/settings.ts'
import { authorOf, JWT_SECRET, likerOf, usersOf, type World } from '../world.ts'
import { freshDatabase, runOn, smallPool } from './database.ts'
import type { Part, Running, Stack } from './stack.ts'

const scripts = { api: 'api.ts', worker: 'worker.ts', push: 'sockets.ts', relay: 'relay.ts' }
const BATCH = 1000

/** Fastify, PostgreSQL, BullMQ on Redis, Socket.IO with the Redis adapter. */
export const usual: Stack = { name: 'usual stack', protocol: 'socket.io', start: (...given) => start(false, ...given) }

/** The same with its own outbox and a relay into the queue, so that it loses no more than Ravenpost. */
export const usualWithOutbox: Stack = {
  name: 'usual stack with outbox',
  protocol: 'socket.io',
  start: (...given) => start(true, ...given),
}

async function start(ownOutbox: boolean, machine: Machine, world: World, wanted: Part[]): Promise<Running> {
  const { postgres, redis } = machine
  const { url, pool, drop } = await freshUsual(machine, world)
  const connection = new Redis({ port: redis.port, host: '127.0.0.1', maxRetriesPerRequest: null })
  await connection.flushall()
  const queue = new Queue<NotificationJob>(QUEUE, { connection, defaultJobOptions: jobOptions })
  const env = {
    DATABASE_URL: url,
    REDIS_PORT: String(redis.port),
    JWT_SECRET,
    POOL_SIZE: '20',
    OWN_OUTBOX: ownOutbox ? 'yes' : 'no',
    NODE_ENV: 'production',
  }
  const startPart = (part: keyof typeof scripts): Promise<Started> =>
    startNode(`usual-${part}`, new URL(`../usual/${scripts[part]}`, import.meta.url), [], env, /ready (\S+)/)
  const all = [...wanted, ...(ownOutbox && wanted.includes('worker') ? (['relay'] as const) : [])]
  const parts = new Map(await Promise.all(all.map(async (part) => [part as string, await startPart(part)] as const)))
  return {
    databaseUrl: url,
    parts,
    restart: async (part) => void parts.set(part, await startPart(part)),
    urlOf: (part) => parts.get(part)?.url ?? '',
    get roots() {
      const servers = [redis, { name: 'postgres', pid: postgres.pid }]
      return [...parts.values(), ...servers].map(({ name, pid }) => ({ name, pid }))
    },
    async hold() {
      await queue.pause()
      return () => queue.resume()
    },
    fill: (firstPost, lastPost) => fill(pool, queue, world, firstPost, lastPost),
    counts: () => countUsual(pool),
    async stop() {
      await Promise.all([...parts.values()].map((part) => part.stop()))
      await queue.close()
      connection.disconnect()
      await pool.end()
      await drop()
    },
  }
}

async function fill(
  pool: pg.Pool,
  queue: Queue<NotificationJob>,
  world: World,
  firstPost: number,
  lastPost: number,
): Promise<void> {
  await pool.query(
    `insert into likes (post_id, user_id)
     select i, ${world.recipients} + 1 + i % ${world.likers} from generate_series($1::bigint, $2::bigint) i`,
    [firstPost, lastPost],
  )
  for (let post = firstPost; post <= lastPost; post += BATCH) {
    const jobs = jobsOf(world, post, Math.min(lastPost, post + BATCH - 1))
    await queue.addBulk(jobs.map((data) => ({ name: 'notify', data })))
  }
}

/** Creates the usual stack's tables, with the world in them. */
export async function freshUsual(machine: Machine, world: World) {
  const { url, drop } = await freshDatabase(machine, 'usual', world, async (template) => {
    await makeWorld(template, world)
    await makePast(template, machine.past.notifications)
  })
  return { url, pool: smallPool(url), drop }
}

export async function countUsual(pool: pg.Pool): Promise<{ likes: number; notifications: number }> {
  const { rows } = await pool.query(`select (select count(*)::int from likes) as likes,
    (select count(*)::int from notifications where user_id < ${FIRST_ID}) as notifications`)
  return rows[0]
}

export function jobsOf(world: World, firstPost: number, lastPost: number): NotificationJob[] {
  return Array.from({ length: lastPost - firstPost + 1 }, (_, index) => jobOf(world, firstPost + index))
}

function jobOf(world: World, post: number): NotificationJob {
  const liker = likerOf(world, post)
  return {
    type: 'post.liked',
    sourceId: `like:${post}:${liker}`,
    recipientId: String(authorOf(world, post)),
    actorId: String(liker),
    objectId: String(post),
  }
}

/** Inserts as many past notifications as Ravenpost has, of users who do nothing later. */
async function makePast(url: string, notifications: number): Promise<void> {
  if (notifications === 0) return
  const people = Math.ceil(notifications / INBOX)
  await runOn(
    url,
    `insert into users (id, username, email, password_hash, display_name) overriding system value
     select i, 'past_' || i, 'past_' || i || '@example.org', '-', 'Past ' || i from generate_series(${FIRST_ID} + 1, ${FIRST_ID} + ${people}) i`,
    `insert into notifications (user_id, source_id, type, actor_id, object_id, data, created_at, delivered_at, read_at)
     select i, 'past:' || k, 'post.liked', i, k, '{}', at, at, case when k <= ${INBOX} * 4 / 5 then at end
     from generate_series(1, ${INBOX}) k, generate_series(${FIRST_ID} + 1, ${FIRST_ID} + ${people}) i,
       lateral (select now() - interval '6 days' + k * interval '2 hours') t (at)`,
  )
}

async function makeWorld(url: string, world: World): Promise<void> {
  const users = usersOf(world)
  await runOn(
    url,
    await readFile(new URL('../usual/schema.sql', import.meta.url), 'utf8'),
    'create extension pg_stat_statements',
    `insert into users (id, username, email, password_hash, display_name) overriding system value
     select i, 'user_' || i, 'user_' || i || '@example.org', '-', 'User ' || i from generate_series(1, ${users}) i`,
    `insert into posts (id, author_id, body) overriding system value
     select i, 1 + (i - 1) % ${world.recipients}, 'Post ' || i from generate_series(1, ${world.posts}) i`,
    `select setval(pg_get_serial_sequence('users', 'id'), ${users}), setval(pg_get_serial_sequence('posts', 'id'), ${world.posts})`,
  )
}
