import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { parseState } from '../src/protocol/changes.ts'
import { check } from './load/check.ts'
import { FoldingClient } from './load/folding-client.ts'
import { Load } from './load/load.ts'
import { Random } from './load/random.ts'
import { makeWorld } from './load/world.ts'
import { describeRun } from './results.ts'
import { chart } from './soak/chart.ts'
import { type SoakResult, summary } from './soak/summary.ts'
import { type Sample, verdicts } from './soak/verdict.ts'
import { type System, startSystem } from './system/system.ts'
import { SECOND, sleep } from './wait.ts'

/**
 * `npm run soak -- --minutes N [--rate N] [--seed N] [--past N]`: runs two processes of each role under a fixed rate of actions.
 * Every ten seconds it samples memory, tables, latency and the number of clients that are behind. At the end it decides which of
 * them stayed flat, checks every invariant, and writes faults/results/soak.md and soak.svg. The exit status is 1 when something
 * was lost, doubled or broken, or grew.
 */
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '60' },
    rate: { type: 'string', default: '50' },
    seed: { type: 'string', default: '1' },
    past: { type: 'string', default: '300000' },
  },
})
const [minutes, rate, seed] = [Number(values.minutes), Number(values.rate), Number(values.seed)]
const USERS = 200
const SAMPLE_MS = 10 * SECOND

for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
process.setMaxListeners(50)
const folder = await mkdtemp(join(tmpdir(), 'ravenpost-soak-'))
const system = await startSystem(folder, { past: Number(values.past) })
const good = await soak(system).finally(() => system.close())
await rm(folder, { recursive: true, force: true })
process.exit(good ? 0 : 1)

async function soak(system: System): Promise<boolean> {
  const random = new Random(seed)
  // Each like needs a new pair of user and post, so there must be enough pairs for the whole run.
  const posts = Math.max(400, Math.ceil((minutes * 60 * rate * 2) / USERS))
  const world = await makeWorld(system, USERS, posts)
  const ports = (role: 'api' | 'push') => system.of(role).map((one) => one.port)
  const clients = world.members.map(
    (member) =>
      new FoldingClient({
        ...{ member, random, emptyState: world.emptyState },
        ...{ apiPorts: ports('api'), pushPorts: ports('push') },
      }),
  )
  const load = new Load({ world, ports: ports('api'), random: new Random(seed + 1), rate })
  const run = describeRun(`npm run soak -- --minutes ${minutes} --rate ${rate} --seed ${seed}`)
  const samples = await sampleUntil(system, load, clients, performance.now() + minutes * 60 * SECOND)
  await load.stop()

  const { lost, doubled, broken } = await check(system.pool, world, load, clients, 60)
  for (const client of clients) client.stop()
  const judged = verdicts(samples)
  await save({ run, offered: load.offered, completed: load.completed, lost, doubled, broken, judged }, samples)
  console.log(`\n${load.completed} of ${load.offered} actions answered, lost ${lost.length}, doubled ${doubled.length}`)
  for (const what of [...lost, ...doubled, ...broken].slice(0, 20)) console.log(`  ${what}`)
  for (const { name, flat, first, last, growth } of judged)
    console.log(`  ${name.padEnd(30)} ${flat ? 'flat ' : 'GROWS'} from ${first} to ${last} (${growth} % over the run)`)
  return lost.length + doubled.length + broken.length === 0 && judged.every(({ flat }) => flat)
}

async function sampleUntil(system: System, load: Load, clients: FoldingClient[], end: number): Promise<Sample[]> {
  const samples: Sample[] = []
  let before: Modseqs = new Map()
  const startedAt = performance.now()
  while (performance.now() < end) {
    await sleep(SAMPLE_MS)
    const latencies = load.latencies.splice(0).sort((a, b) => a - b)
    const behind = clients.filter(
      ({ inbox, member }) => (parseState(inbox.state ?? '')?.modseq ?? 0) < (before.get(member.id) ?? 0),
    )
    before = await modseqs(system)
    const at = (part: number) => Math.round(latencies[Math.floor(latencies.length * part)] ?? 0)
    const sample: Sample = {
      seconds: Math.round((performance.now() - startedAt) / SECOND),
      ...(await memory(system)),
      ...(await tables(system)),
      'clients behind': behind.length,
      p50: at(0.5),
      p99: at(0.99),
    }
    samples.push(sample)
    console.log(
      Object.entries(sample)
        .map(([name, value]) => `${name}=${value}`)
        .join(' '),
    )
  }
  return samples
}

type Modseqs = Map<string, number>

/** The state of each inbox. A client that has not reached it at the next sample is behind. */
async function modseqs({ pool }: System): Promise<Modseqs> {
  const { rows } = await pool.query<{ id: string; modseq: number }>(
    'select user_id as id, modseq::float8 as modseq from notify.inbox',
  )
  return new Map(rows.map(({ id, modseq }) => [id, modseq]))
}

/** Resident memory of each process from the kernel, and its heap from /metrics, in MiB. */
async function memory(system: System): Promise<Record<string, number>> {
  const found: Record<string, number> = {}
  for (const one of system.processes) {
    const status = await readFile(`/proc/${one.pid}/status`, 'utf8')
    found[`${one.name} rss`] = Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024)
    const metrics = await scrape(one.port).catch(() => '')
    const heap = /^\S*nodejs_heap_size_used_bytes(?:\{[^}]*\})? (\S+)/m.exec(metrics)?.[1]
    if (heap !== undefined) found[`${one.name} heap`] = Math.round(Number(heap) / 2 ** 20)
  }
  return found
}

/** Gives up on a busy process after five seconds, because a sample without its heap is better than none. */
async function scrape(port: number): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${port}/metrics`, { signal: AbortSignal.timeout(5 * SECOND) })
  return response.text()
}

/** Dead tuples of frequently updated tables, unread events, and the size of tables that updates must not enlarge. */
async function tables({ pool }: System): Promise<Record<string, number>> {
  const { rows } = await pool.query<Record<string, number>>(
    `select (select sum(n_dead_tup) from pg_stat_user_tables where relname like 'outbox\\_%')::int as "outbox dead",
       (select n_dead_tup from pg_stat_user_tables where relname = 'inbox')::int as "inbox dead",
       (select n_dead_tup from pg_stat_user_tables where relname = 'notifications')::int as "notifications dead",
       (select n_dead_tup from pg_stat_user_tables where relname = 'positions')::int as "positions dead",
       (select sum(n_dead_tup) from pg_stat_user_tables where schemaname = 'graphile_worker')::int as "jobs dead",
       (pg_total_relation_size('notify.inbox') / 1024)::int as "inbox KiB",
       (pg_total_relation_size('notify.positions') / 1024)::int as "positions KiB",
       (pg_total_relation_size('graphile_worker._private_jobs') / 1024)::int as "jobs KiB",
       (select sum(events) from ops.lag)::int as unread`,
  )
  return rows[0] ?? {}
}

async function save(result: SoakResult, samples: Sample[]): Promise<void> {
  const results = new URL('results/', import.meta.url)
  await writeFile(new URL('soak.md', results), summary(result))
  await writeFile(new URL('soak.svg', results), chart(samples))
}
