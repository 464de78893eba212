import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import pg from 'pg'
import { pino } from 'pino'
import { migrate } from '../src/db/migrate.ts'
import { createPool } from '../src/db/pool.ts'
import { listPosts, type Scope } from '../src/posts/read.ts'
import { startPostgres } from './machine/postgres.ts'

/**
 * `node bench/feeds.ts [--posts 10000000]`: what a page of each feed costs, for people who follow 5,000 others, on a database
 * made for it that is deleted afterwards. Authors post by a power law: the r-th of 100,000 a share of r^-0.6. Beside the time
 * it prints what of it the server's process was on a processor (/proc/<pid>/schedstat): that does not depend on who else is.
 */
const { values } = parseArgs({
  options: {
    posts: { type: 'string', default: '10000000' },
    users: { type: 'string', default: '100000' },
    pages: { type: 'string', default: '1000' },
  },
})
const [posts, users, pages] = [Number(values.posts), Number(values.users), Number(values.pages)]
const FOLLOWED = 5000
const PAGE = 21
/** Who follow 5,000: anybody alike, and only those who hardly write. */
const viewers = { anybody: 50, quiet: 50 }

const server = await startPostgres()
try {
  const url = await server.createDatabase('feeds')
  await fill(url)
  await measure(url)
} finally {
  await server.stop()
}

async function fill(url: string): Promise<void> {
  await migrate(url, pino({ level: 'warn' }))
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  // No commit waits for the disk, nothing is checked row by row, and the index is built once, over everything.
  await client.query(
    `set session_replication_role = replica; set synchronous_commit = off; set maintenance_work_mem = '1GB'`,
  )
  const { rows } = await client.query(`select pg_get_indexdef('social.posts_of_author'::regclass) as definition`)
  for (const [name, statement] of Object.entries(statements(rows[0].definition))) {
    const startedAt = performance.now()
    await client.query(statement)
    console.log(`  ${name}: ${((performance.now() - startedAt) / 1000).toFixed(1)} s`)
  }
  await client.end()
}

function statements(postsOfAuthor: string): Record<string, string> {
  const { anybody, quiet } = viewers
  return {
    users: `insert into social.users (id, username, email, password_hash, display_name) overriding system value
            select i, 'user_' || i, 'user_' || i || '@example.org', '-', 'User ' || i from generate_series(1, ${users}) i`,
    posts: `drop index social.posts_of_author;
            insert into social.posts (id, author_id, body, created_at, updated_at) overriding system value
            select i, 1 + floor(power(random(), 2.5) * ${users})::bigint, 'Post ' || i || repeat(' and so on', 8), at, at
            from generate_series(1, ${posts}) i cross join lateral (select now() - (${posts} - i) * interval '1 second' as at) v`,
    index: postsOfAuthor,
    // Every ${users / FOLLOWED}th, and the last in rank.
    follows: `insert into social.follows (follower_id, followee_id)
              select v, 1 + (k * ${users / FOLLOWED} + v * 7) % ${users} from generate_series(1, ${anybody}) v, generate_series(1, ${FOLLOWED}) k;
              insert into social.follows (follower_id, followee_id)
              select ${anybody} + v, ${users} - v * 20 - k from generate_series(1, ${quiet}) v, generate_series(1, ${FOLLOWED}) k`,
    vacuum: 'vacuum analyze',
  }
}

async function measure(url: string): Promise<void> {
  const pool = createPool({ url, size: 1, log: pino({ level: 'warn' }), name: 'feeds' })
  const { rows } = await pool.query<{ pid: number }>('select pg_backend_pid() as pid')
  const pid = rows[0]?.pid ?? 0
  const feeds: [string, Scope, (i: number) => number][] = [
    ['everyone', 'all', (i) => 1 + (i % viewers.anybody)],
    ['one user', 'user', (i) => 1 + (i % viewers.anybody)],
    ['following 5,000', 'following', (i) => 1 + (i % viewers.anybody)],
    ['following 5,000 quiet ones', 'following', (i) => 1 + viewers.anybody + (i % viewers.quiet)],
  ]
  for (const [name, scope, viewer] of feeds)
    for (const deep of [false, true]) {
      const [times, onProcessor]: [number[], number[]] = [[], []]
      for (let i = -50; i < pages; i += 1) {
        const before = deep ? String(Math.ceil(Math.random() * posts)) : null
        const userId = scope === 'user' ? String(1 + Math.floor(Math.random() ** 2.5 * users)) : undefined
        const [startedAt, usedBefore] = [performance.now(), await processorMs(pid)]
        await listPosts(pool, String(viewer(Math.abs(i))), { scope, userId, before, limit: PAGE })
        if (i < 0) continue
        times.push(performance.now() - startedAt)
        onProcessor.push((await processorMs(pid)) - usedBefore)
      }
      console.log(
        `${name}, ${deep ? 'anywhere' : 'first page'}: ${shares(times)}; on a processor: ${shares(onProcessor)}`,
      )
    }
  await pool.end()
}

async function processorMs(pid: number): Promise<number> {
  return Number((await readFile(`/proc/${pid}/schedstat`, 'utf8')).split(' ')[0]) / 1e6
}

function shares(times: number[]): string {
  times.sort((a, b) => a - b)
  const at = (share: number) => (times[Math.floor(times.length * share)] ?? 0).toFixed(1)
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`
}
