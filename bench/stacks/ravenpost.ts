import type pg from 'pg'
import { pino } from 'pino'
import { FIRST_ID, makePast } from '../../faults/past.ts'
import { migrate } from '../../src/migrate.ts'
import { likeBatch } from '../../src/social/likes/write.ts'
import type { Machine } from '../machine/machine.ts'
import { type Started, startNode } from '../machine/process.ts'
import { JWT_SECRET, likerOf, usersOf, type World } from '../world.ts'
import { freshDatabase, runOn, smallPool } from './database.ts'
import type { Part, Running, Stack } from './stack.ts'

const main = new URL('../../src/main.ts', import.meta.url)
/** Likes per statement, as in the coalescing writer. */
const BATCH = 400

export const ravenpost: Stack = { name: 'Ravenpost', protocol: 'ravenpost', start }

async function start(machine: Machine, world: World, wanted: Part[]): Promise<Running> {
  const { url, drop } = await freshDatabase(machine, 'ravenpost', world, async (template) => {
    await makeWorld(template, world)
    await makePast(template, machine.past)
  })
  const pool = smallPool(url)
  const startPart = (part: Part) => startOn(url, part)
  const parts = new Map(await Promise.all(wanted.map(async (part) => [part as string, await startPart(part)] as const)))
  const { postgres } = machine
  return {
    databaseUrl: url,
    parts,
    restart: async (part) => void parts.set(part, await startPart(part)),
    urlOf: (part) => parts.get(part)?.url ?? '',
    get roots() {
      return [...parts.values(), { name: 'postgres', pid: postgres.pid }].map(({ name, pid }) => ({ name, pid }))
    },
    hold: () => holdLanes(pool),
    fill: (firstPost, lastPost) => fill(pool, world, firstPost, lastPost),
    async counts() {
      const { rows } = await pool.query(`select (select count(*)::int from social.likes) as likes,
        (select count(*)::int from notify.notifications where user_id < ${FIRST_ID}) as notifications`)
      return rows[0]
    },
    async stop() {
      await Promise.all([...parts.values()].map((part) => part.stop()))
      await pool.end()
      await drop()
    },
  }
}

/** Starts one process of Ravenpost on a migrated database. */
export function startOn(databaseUrl: string, part: Part): Promise<Started> {
  const env = {
    DATABASE_URL: databaseUrl,
    JWT_SECRET,
    PORT: '0',
    LOG_LEVEL: 'warn',
    RATE_LIMIT_SCALE: '1000000',
    ACCESS_TOKEN_TTL: '86400',
    POOL_SIZE: '20',
  }
  return startNode(`ravenpost-${part}`, main, [part], env, /"readiness":"(http\S+?)\/readyz"/)
}

/** Stops dispatching: every dispatcher skips lanes whose position is locked. */
async function holdLanes(pool: pg.Pool): Promise<() => Promise<void>> {
  const client = await pool.connect()
  await client.query('begin')
  await client.query('select from notify.positions for update')
  return async () => {
    await client.query('commit')
    client.release()
  }
}

async function fill(pool: pg.Pool, world: World, firstPost: number, lastPost: number): Promise<void> {
  for (let post = firstPost; post <= lastPost; post += BATCH) {
    const posts = Array.from({ length: Math.min(BATCH, lastPost - post + 1) }, (_, index) => post + index)
    await likeBatch(
      pool,
      posts.map((id) => ({ postId: String(id), userId: String(likerOf(world, id)), requestId: 'bench' })),
    )
  }
}

async function makeWorld(url: string, world: World): Promise<void> {
  await migrate(url, pino({ level: 'warn' }))
  const users = usersOf(world)
  await runOn(
    url,
    'create extension pg_stat_statements',
    // Shows every event at once, as the other stacks do.
    'update notify.types set window_seconds = 0',
    `insert into social.users (id, username, email, password_hash, display_name) overriding system value
     select i, 'user_' || i, 'user_' || i || '@example.org', '-', 'User ' || i from generate_series(1, ${users}) i`,
    `insert into notify.inbox (user_id) select id from social.users`,
    `insert into social.sessions (id, user_id, expires_at) overriding system value
     select id, id, now() + interval '30 days' from social.users`,
    `insert into social.posts (id, author_id, body) overriding system value
     select i, 1 + (i - 1) % ${world.recipients}, 'Post ' || i from generate_series(1, ${world.posts}) i`,
    `select setval(pg_get_serial_sequence('social.users', 'id'), ${users}),
       setval(pg_get_serial_sequence('social.sessions', 'id'), ${users}),
       setval(pg_get_serial_sequence('social.posts', 'id'), ${world.posts})`,
  )
}
