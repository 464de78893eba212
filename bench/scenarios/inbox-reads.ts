import { setTimeout as sleep } from 'node:timers/promises'
import { generate, type Sizes } from '../generate.ts'
import { type Bench, inTurn, type Measured, maxOf, type Scenario, target } from '../harness/scenario.ts'
import { startLoad } from '../load/load.ts'
import { readRow } from '../stacks/database.ts'
import { ravenpost, startOn } from '../stacks/ravenpost.ts'

/** Pages as clients request them. The state of the last one is added later. */
const PAGES = {
  'inbox page': '/notifications?limit=20',
  'unread count': '/notifications/unread-count',
  'changes since a state': '/notifications/changes?limit=20&since=',
}

/** Low, because the scenario measures the time of a request, not the throughput. */
const RATE = 100

export const inboxReads: Scenario = {
  id: 'P8',
  title: 'Reading an inbox among many stored notifications',
  mostRuns: 2,
  async run(bench) {
    const sizes = sizesOf(bench)
    const database = 'bench_large'
    const url = await bench.machine.postgres.createDatabase(database)
    await generate(url, sizes, bench.say)
    const rows = await inTurn(bench, [ravenpost], () => measure(bench, url, sizes))
    await bench.machine.postgres.dropDatabase(database)
    const highest = (share: string) =>
      Math.max(...Object.keys(PAGES).map((page) => maxOf(rows, ravenpost.name, `${page}: ${share} ms`)))
    const [typical, slowest] = [highest('p50'), highest('p99')]
    const scans = maxOf(rows, ravenpost.name, 'sequential scans')
    return {
      rows,
      targets: [
        target('p50 ≤ 2 ms', typical, typical <= 2, 'ms'),
        target('p99 ≤ 5 ms', slowest, slowest <= 5, 'ms'),
        target('by indexes only', scans, scans === 0, 'sequential scans'),
      ],
      notes: [
        `${sizes.users.toLocaleString('en')} users, ${sizes.notifications.toLocaleString('en')} notifications, inbox sizes by a power law, stored in the order of time; asked for by users of all sizes, ${RATE} a second, timed at the client over HTTP: an upper bound of the time on the server.`,
      ],
    }
  },
}

function sizesOf({ quick }: Bench): Sizes {
  return quick
    ? { users: 2000, follows: 10_000, notifications: 20_000 }
    : { users: 1_000_000, follows: 5_000_000, notifications: 10_000_000 }
}

async function measure({ quick }: Bench, databaseUrl: string, { users }: Sizes): Promise<Measured> {
  const api = await startOn(databaseUrl, 'api')
  const asking = Math.min(users, 20_000)
  const load = await startLoad({ recipients: asking, likers: 0, posts: 1 }, 'ravenpost')
  const epoch = await epochOf(databaseUrl)
  const figures: Measured = { failed: 0 }
  // A start reads tables too, and a backend reports its statistics up to a second later.
  await load.get({ url: api.url, path: PAGES['inbox page'], users: [1, asking], rate: RATE, seconds: quick ? 0.5 : 2 })
  await sleep(1500)
  const before = await sequentialScans(databaseUrl)
  for (const [page, path] of Object.entries(PAGES)) {
    const full = path.endsWith('=') ? `${path}${epoch}.1` : path
    const ask = { url: api.url, path: full, users: [1, asking] as [number, number], rate: RATE }
    await load.get({ ...ask, seconds: quick ? 0.5 : 2 })
    const { latency, failed } = await load.get({ ...ask, seconds: quick ? 1 : 10 })
    figures[`${page}: p50 ms`] = latency.p50
    figures[`${page}: p99 ms`] = latency.p99
    figures.failed = (figures.failed ?? 0) + failed
  }
  await load.stop()
  await api.stop()
  figures['sequential scans'] = (await sequentialScans(databaseUrl)) - before
  return figures
}

async function epochOf(url: string): Promise<string> {
  return (await readRow<{ epoch: string }>(url, 'select epoch from notify.installation'))?.epoch ?? ''
}

/** Sequential scans of tables that grow with users. Statistics of an ended process are complete. */
async function sequentialScans(url: string): Promise<number> {
  const text = `select sum(seq_scan)::int as scans from pg_stat_user_tables
    where schemaname || '.' || relname in ('notify.notifications', 'notify.inbox', 'notify.sources', 'social.users', 'social.posts')`
  return (await readRow<{ scans: number }>(url, text))?.scans ?? 0
}
