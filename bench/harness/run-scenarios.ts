import type { Past } from '../../faults/past.ts'
import { startMachine } from '../machine/machine.ts'
import { isPinned } from '../machine/pin.ts'
import { printProfiles } from '../report/profile.ts'
import { saveReport } from '../report/results.ts'
import { writeTables } from '../report/tables.ts'
import { type Bench, lostOrDoubled, round, type Scenario } from './scenario.ts'

/**
 * Runs the scenarios one after the other on one PostgreSQL and one Redis, and stores each result at once. The exit status is 1
 * when a scenario failed or Ravenpost lost or doubled something; a slow run does not fail.
 */
export async function runScenarios(
  scenarios: Scenario[],
  { quick, runs, only, past }: { quick: boolean; runs: number; only?: string | undefined; past: Past },
): Promise<void> {
  const machine = await startMachine(past)
  const say = (line: string) => console.log(line)
  try {
    for (const scenario of scenarios) {
      say(`${scenario.id} ${scenario.title}`)
      await runOne(scenario, { machine, quick, runs, repeats: 0, only, say }).catch((error) => {
        // The other scenarios still run.
        say(`  FAILED: ${error instanceof Error ? error.stack : error}`)
        process.exitCode = 1
      })
    }
    await writeTables()
    if (process.env.BENCH_PROFILE) await printProfiles(process.env.BENCH_PROFILE)
  } finally {
    await machine.stop()
  }
}

async function runOne({ id, title, mostRuns, run }: Scenario, bench: Bench): Promise<void> {
  const { machine, quick, only, say } = bench
  const runs = Math.min(bench.runs, mostRuns ?? bench.runs)
  const given = { ...bench, runs, repeats: quick ? 0 : runs }
  const startedAt = new Date()
  const result = await run(given)
  const seconds = (Date.now() - startedAt.getTime()) / 1000
  for (const { text, reached, met } of result.targets)
    say(`  ${met === null ? 'not measured' : met ? 'met' : 'NOT MET'}: ${text} (reached ${reached})`)
  for (const what of lostOrDoubled(result.rows)) {
    say(`  LOST OR DOUBLED: ${what}`)
    process.exitCode = 1
  }
  say(`  ${round(seconds)} s`)
  if (only !== undefined) return
  const dropped = quick ? 0 : runs - given.repeats
  const options = [...(quick ? ['--quick'] : []), `--runs ${runs}`, ...(isPinned() ? ['--pinned'] : [])]
  const command = ['npm run bench --', id, ...options].join(' ')
  const pinned = isPinned()
  await saveReport({
    id,
    title,
    command,
    quick,
    pinned,
    dropped,
    startedAt,
    seconds,
    machine: machine.describe(),
    ...result,
  })
}
