import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { isGood, print, printHeading } from './report.ts'
import { describeRun, save } from './results.ts'
import { type Result, type RunOptions, runScenario } from './run.ts'
import type { Scenario } from './scenario.ts'
import { scenarios, undisturbed } from './scenarios/index.ts'
import { compileCache } from './system/node-options.ts'
import { startSystem } from './system/system.ts'
import { SECOND } from './wait.ts'

/**
 * `npm run chaos [-- names] [--quick] [--list] [--seed N] [--rate N] [--past N] [--keep]`: runs the scenarios whose names contain
 * one of `names`, against real processes under load, and checks every invariant after each. The exit status is 1 when anything
 * was lost, doubled or broken; a slow run does not fail. `--past`: events that the database has already processed, and as many
 * notifications.
 */
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
    seed: { type: 'string', default: '1' },
    rate: { type: 'string', default: '50' },
    past: { type: 'string' },
  },
})
process.setMaxListeners(50)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
const options: RunOptions = { seed: Number(values.seed), rate: Number(values.rate), quick: values.quick }
const past = Number(values.past ?? (values.quick ? 10_000 : 300_000))
if (values.quick) process.env.NODE_COMPILE_CACHE ??= compileCache
if (values.list) for (const { name, what } of scenarios) console.log(`${name.padEnd(28)}${what}`)
else process.exitCode = (await runAll(chosen())) ? 0 : 1
process.exit()

function chosen(): Scenario[] {
  if (positionals.length > 0) return scenarios.filter(({ name }) => positionals.some((part) => name.includes(part)))
  if (!values.quick) return scenarios
  for (const { name, checkedBy } of scenarios) if (checkedBy) console.log(`${name} is left out: ${checkedBy}`)
  return scenarios.filter(({ quick }) => quick)
}

async function runAll(list: Scenario[]): Promise<boolean> {
  if (list.length === 0) throw new Error(`no scenario has ${positionals.join(', ')} in its name: see --list`)
  const folder = await mkdtemp(join(tmpdir(), 'ravenpost-chaos-'))
  const system = await startSystem(folder, { past })
  const results: Result[] = []
  const startedAt = performance.now()
  const run = describeRun(['npm run chaos --', ...positionals, `--seed ${values.seed} --rate ${values.rate}`].join(' '))
  try {
    printHeading()
    for (const scenario of [undisturbed, ...list]) {
      const isOwn = scenario.disk || scenario.pair || scenario.pushServices
      const result = isOwn
        ? await onItsOwn(scenario, join(folder, scenario.name))
        : await runScenario(system, scenario, options)
      if (!result) continue
      results.push(result)
      print(result, results[0] ?? result)
    }
  } finally {
    await system.close()
  }
  const minutes = (performance.now() - startedAt) / SECOND / 60
  console.log(`${results.length} scenarios in ${minutes.toFixed(1)} minutes`)
  const names = [undisturbed, ...scenarios].map(({ name }) => name)
  if (!values.quick) await save(results, run, names)
  const good = results.every(isGood)
  if (good && !values.keep) await rm(folder, { recursive: true, force: true })
  else console.log(`the logs are in ${folder}`)
  return good
}

/** Runs a scenario on a system of its own, because it needs a special disk or special servers. */
async function onItsOwn(scenario: Scenario, folder: string): Promise<Result | undefined> {
  await mkdir(folder)
  try {
    const [disk, pair] = [await scenario.disk?.(join(folder, 'disk')), await scenario.pair?.()]
    const pushServices = await scenario.pushServices?.()
    const own = { ...(pair && { pair }), ...(pushServices && { pushServices }) }
    const system = await startSystem(folder, { ...(disk ? { disk } : { past }), ...own })
    return await runScenario(system, scenario, options).finally(() => system.close())
  } catch (error) {
    console.log(`${scenario.name.padEnd(28)}skipped: ${error instanceof Error ? error.message : error}`)
    return undefined
  }
}
