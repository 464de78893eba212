import { existsSync, mkdirSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { compileCache } from '../faults/system/node-options.ts'
import type { Scenario } from './harness/scenario.ts'

/**
 * `npm run bench [-- P1 P3 --quick --runs 3 --only Ravenpost --past 1500000 --pinned]`: measures the scenarios. The other stacks
 * are in a package of their own, which is installed on request. `--past`: events that every database has already processed, and as
 * many notifications. `--pinned`: the stack gets one core and the generator another.
 */
if (!existsSync(new URL('node_modules', import.meta.url))) {
  console.error('The other stacks are not installed: run npm ci --prefix bench')
  process.exit(1)
}
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    runs: { type: 'string' },
    only: { type: 'string' },
    past: { type: 'string' },
    pinned: { type: 'boolean', default: false },
  },
})
if (process.env.BENCH_PROFILE) mkdirSync(process.env.BENCH_PROFILE, { recursive: true })
// Ends the started processes too: see machine/process.ts.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1))
const { runScenarios } = await import('./harness/run-scenarios.ts')
const { pinEverything } = await import('./machine/pin.ts')
const { scenarios } = await import('./scenarios/index.ts')

const unknown = positionals.filter((id) => !scenarios.some((scenario) => scenario.id === id))
if (unknown.length > 0) {
  console.error(`There is no scenario ${unknown.join(', ')}: expected ${scenarios.map(({ id }) => id).join(', ')}`)
  process.exit(1)
}
const { quick } = values
const isChosen = ({ id, checkedBy }: Scenario) =>
  positionals.length === 0 ? !(quick && checkedBy) : positionals.includes(id)
const chosen = scenarios.filter(isChosen)
if (quick) {
  process.env.NODE_COMPILE_CACHE ??= compileCache
  for (const { id, checkedBy } of scenarios)
    if (checkedBy && positionals.length === 0) console.log(`${id} is left out of quick runs: ${checkedBy}`)
}
if (values.pinned) pinEverything()
const past = Number(values.past ?? (quick ? 10_000 : 300_000))
await runScenarios(chosen, {
  quick,
  only: values.only,
  runs: Number(values.runs ?? (quick ? 1 : 5)),
  past: { events: past, notifications: past },
})
// A failed scenario may have left connections open.
process.exit()
