import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import {
  type Bench,
  type Measured,
  medianOf,
  quickWorld,
  type Row,
  type Scenario,
  target,
  toFigure,
  toFigures,
  toRows,
} from '../harness/scenario.ts'
import { connectAll, type System, warmUp, withSystem } from '../harness/with-system.ts'
import { readRow } from '../stacks/database.ts'
import { ravenpost } from '../stacks/ravenpost.ts'
import { drain } from './dispatch-throughput.ts'

const NORMAL = 'nothing open'
const READER = 'a repeatable-read transaction open'
const WRITER = 'a writing transaction open'
const LAST_TO_FIRST = 'last to first, %'

export const openTransactions: Scenario = {
  id: 'P4',
  title: 'Throughput beside transactions that stay open',
  mostRuns: 1,
  async run(bench) {
    const runs = new Map<string, Measured[]>([NORMAL, READER, WRITER].map((name) => [name, []]))
    for (let run = 1; run <= bench.runs; run++) await measure(bench, (name, one) => runs.get(name)?.push(one))
    const rows = toRows(runs).map((row) => withFirstAndLast(row, bench))
    const dead = Math.max(...rows.map((row) => row.figures['dead tuples in the outbox']?.max ?? 0))
    return {
      rows,
      targets: [
        flatness(rows, READER),
        flatness(rows, WRITER),
        target('no dead tuples in the outbox', dead, dead === 0, 'tuples'),
      ],
      notes: [
        `Rounds of a backlog let go, as in P2, while the transaction stays open for ${phaseSeconds(bench)} s; "first" and "last" are the medians of the first and last tenth of the rounds.`,
      ],
    }
  },
}

function flatness(rows: Row[], name: string) {
  const percent = medianOf(rows, name, LAST_TO_FIRST)
  return target(`last minute ≥ 97 % of the first with ${name}`, percent, percent >= 97, '%')
}

/** Rounds are in order of time, so a decay shows as a difference between the first and the last round of a phase. */
function withFirstAndLast(row: Row, { quick }: Bench): Row {
  const rounds = row.figures['notifications/s']?.runs ?? []
  const some = quick ? 1 : Math.max(1, Math.round(rounds.length / 10))
  const [first, last] = [rounds.slice(0, some), rounds.slice(-some)]
  const figures = toFigures([
    {
      'first: notifications/s': median(first),
      'last: notifications/s': median(last),
      [LAST_TO_FIRST]: (100 * median(last)) / median(first),
    },
  ])
  return { ...row, figures: { ...row.figures, ...figures } }
}

function median(values: number[]): number {
  return toFigure(values).median
}

function phaseSeconds({ quick }: Bench): number {
  return quick ? 2 : 600
}

/** Measures one system, with normal phases before, between and after the others, because tables grow meanwhile. */
function measure(bench: Bench, found: (name: string, measured: Measured) => void): Promise<void> {
  const [events, warm] = bench.quick ? [2000, 500] : [10_000, 10_000]
  const every = bench.quick ? 1 : 5
  const roundsOf = (name: string) => Math.ceil(phaseSeconds(bench) / every / (name === NORMAL ? 10 : 1))
  const phases = bench.quick ? [NORMAL, READER, WRITER] : [NORMAL, READER, NORMAL, WRITER, NORMAL]
  const rounds = phases.reduce((total, name) => total + roundsOf(name), 0)
  const world = bench.quick ? quickWorld : { recipients: 2000, likers: 1000, posts: warm + rounds * events }
  return withSystem(bench, ravenpost, world, ['worker', 'push'], async (given) => {
    await connectAll(given, world)
    await warmUp(given, warm)
    let post = warm + 1
    for (const name of phases) {
      const close = await openTransaction(given, name)
      for (let round = roundsOf(name); round > 0; round--) {
        const [startedAt, first] = [Date.now(), post]
        post += events
        const drained = await drain(given, first, post - 1)
        const { 'notifications/s': rate = 0, 'CPU ms': cpu = 0, lost = 0, doubled = 0 } = drained
        const dead = await deadInOutbox(given)
        found(name, { 'notifications/s': rate, 'CPU ms': cpu, lost, doubled, 'dead tuples in the outbox': dead })
        await sleep(Math.max(0, every * 1000 - (Date.now() - startedAt)))
      }
      await close()
      bench.say(`  ${name}: done`)
    }
  })
}

/** Opens a transaction on a foreign connection, which no timeout of ours ends. */
async function openTransaction({ system }: System, name: string): Promise<() => Promise<void>> {
  if (name === NORMAL) return async () => {}
  const client = new pg.Client({ connectionString: system.databaseUrl })
  await client.connect()
  await client.query(name === READER ? 'begin isolation level repeatable read' : 'begin')
  await client.query(
    name === READER ? 'select count(*) from social.users' : `update social.users set bio = 'open' where id = 1`,
  )
  return async () => {
    await client.query('rollback')
    await client.end()
  }
}

async function deadInOutbox({ system }: System): Promise<number> {
  const row = await readRow<{ dead: number }>(
    system.databaseUrl,
    `select coalesce(sum(n_dead_tup), 0)::int as dead from pg_stat_user_tables where schemaname = 'notify' and relname ~ '^outbox_\\d'`,
  )
  return row?.dead ?? 0
}
