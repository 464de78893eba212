import { setTimeout as sleep } from 'node:timers/promises'
import { type Bench, inTurn, type Measured, medianOf, quickWorld, type Scenario, target } from '../harness/scenario.ts'
import { withSystem } from '../harness/with-system.ts'
import { cpuMs, difference } from '../machine/cost.ts'
import { readRow } from '../stacks/database.ts'
import { ravenpost } from '../stacks/ravenpost.ts'

const PARTS = ['api', 'worker', 'push'] as const

export const idle: Scenario = {
  id: 'P12',
  title: 'Processes of a system in which nothing happens',
  checkedBy: 'test/past/costs.test.ts counts the statements of idle processes',
  mostRuns: 3,
  async run(bench) {
    const rows = await inTurn(bench, [ravenpost], () => measure(bench))
    const of = (figure: string) => medianOf(rows, ravenpost.name, figure)
    const statements = Math.max(...PARTS.map((part) => of(`statements/s of ${part}`)))
    const cpu = of('CPU % of a core')
    return {
      rows,
      targets: [
        target('≤ 2 statements a second and process', statements, statements <= 2, '/s'),
        target('≤ 0.5 % of a core in all', cpu, cpu <= 0.5, '%'),
      ],
      notes: [
        `One process of each role, with ${seconds(bench)} s without a request, socket or event; statements as pg_stat_statements counts them, begin and commit among them.`,
      ],
    }
  },
}

function seconds({ quick }: Bench): number {
  return quick ? 2 : 60
}

/** Counts statements with each part alone, and measures CPU with all parts together. */
async function measure(bench: Bench): Promise<Measured> {
  const figures: Measured = {}
  for (const part of PARTS) figures[`statements/s of ${part}`] = (await observe(bench, [part])).statements
  const all = await observe(bench, [...PARTS])
  const total = Object.values(all.cpu).reduce((sum, percent) => sum + percent, 0)
  const byProcess = Object.entries(all.cpu).map(([name, percent]) => [`CPU % of ${name.replace(/^.*-/, '')}`, percent])
  return { ...figures, 'CPU % of a core': total, ...Object.fromEntries(byProcess) }
}

function observe(bench: Bench, parts: ('api' | 'worker' | 'push')[]) {
  return withSystem(bench, ravenpost, quickWorld, parts, async ({ system }) => {
    // The work of the start must be over.
    await sleep(bench.quick ? 1000 : 15_000)
    const cpuBefore = cpuMs(system.roots)
    const before = await countStatements(system.databaseUrl)
    await sleep(seconds(bench) * 1000)
    const after = await countStatements(system.databaseUrl)
    const cpu = difference(cpuMs(system.roots), cpuBefore)
    const percent = Object.entries(cpu).map(([name, ms]) => [name, ms / (seconds(bench) * 10)] as const)
    // The second count includes the first counting statement.
    return { statements: (after - before - 1) / seconds(bench), cpu: Object.fromEntries(percent) }
  })
}

async function countStatements(url: string): Promise<number> {
  const row = await readRow<{ calls: number }>(
    url,
    `select coalesce(sum(calls), 0)::float8 as calls from pg_stat_statements
     where dbid = (select oid from pg_database where datname = current_database())`,
  )
  return row?.calls ?? 0
}
