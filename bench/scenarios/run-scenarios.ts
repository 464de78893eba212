import { startMachine } from '../machine/machine.ts'
import { type Report, saveReport } from '../report/results.ts'
import { writeTables } from '../report/tables.ts'
import { round, type Scenario } from './scenario.ts'

/** Runs the scenarios one after the other on one PostgreSQL and one Redis; each result is kept as soon as it is there. */
export async function runScenarios(
  scenarios: Scenario[],
  { quick, runs }: { quick: boolean; runs: number },
): Promise<void> {
  const machine = await startMachine()
  const say = (line: string) => console.log(line)
  try {
    for (const { id, title, run } of scenarios) {
      say(`${id} ${title}`)
      const startedAt = new Date()
      const result = await run({ machine, quick, runs, say })
      for (const { text, reached, met } of result.targets)
        say(`  ${met === null ? 'not measured' : met ? 'met' : 'NOT MET'}: ${text} (reached ${reached})`)
      const seconds = (Date.now() - startedAt.getTime()) / 1000
      say(`  ${round(seconds)} s`)
      const command = ['npm run bench --', id, ...(quick ? ['--quick'] : []), `--runs ${runs}`].join(' ')
      const report: Report = { id, title, command, quick, startedAt, seconds, machine: machine.describe(), ...result }
      await saveReport(report)
    }
    await writeTables()
  } finally {
    await machine.stop()
  }
}
