import { resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { type Measured, toFigure } from './harness/scenario.ts'
import { connectAll, type System, warmUp } from './harness/with-system.ts'
import { startLoad } from './load/load.ts'
import { cpuMs, descendantsOf, difference } from './machine/cost.ts'
import { type Machine, startMachine } from './machine/machine.ts'
import { WARM_UP, world } from './scenarios/latency.ts'
import { ravenpost } from './stacks/ravenpost.ts'
import type { Stack } from './stacks/stack.ts'

/**
 * `node bench/compare.ts <folder> [--rate 437 --rounds 20 --past 300000]`: compares this checkout with the one in `folder`, which needs
 * `npm ci` and `npm ci --prefix bench`. Both are running, each with its own PostgreSQL of the same build and settings. They get likes in turn,
 * a few seconds each, and the one that waits is stopped. A change of the machine's speed affects both, so that a difference of one
 * percent shows in minutes. `--rate`: likes per second; 437 is a quarter of what the usual stack can do on two cores.
 */
const SECONDS = 4
/** Milliseconds after a stack goes on and before its turn, so that what its timers owe does not count. */
const SETTLE_MS = 500

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    rate: { type: 'string', default: '437' },
    rounds: { type: 'string', default: '20' },
    past: { type: 'string', default: '300000' },
  },
})
const [folder] = positionals
const [rate, rounds, past] = [values.rate, values.rounds, values.past].map(Number) as [number, number, number]
if (!folder || positionals.length > 1 || !(rate >= 1) || !(rounds >= 2) || !(past >= 0)) {
  console.error('node bench/compare.ts <folder of another checkout> [--rate 437 --rounds 20 --past 300000]')
  process.exit(1)
}
if (WARM_UP + (rounds + 1) * rate * SECONDS > world.posts) {
  console.error(`Of ${world.posts} posts, each is liked once: too few for ${rounds} rounds at ${rate} likes a second`)
  process.exit(1)
}

/** `turns`: the figures of each turn in milliseconds. Latencies, and CPU time per like, by process too. */
type Side = System & { name: string; machine: Machine; firstPost: number; turns: Measured[] }

const sides: Side[] = []
// Ends the started processes too: see machine/process.ts.
process.setMaxListeners(20)
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    signalAll(sides, 'SIGCONT')
    process.exit(1)
  })
try {
  const there = pathToFileURL(`${resolve(folder)}/`)
  // Its own generator too, because tokens and frames may have changed.
  const { startLoad: startOther } = await import(new URL('bench/load/load.ts', there).href)
  const { ravenpost: other } = await import(new URL('bench/stacks/ravenpost.ts', there).href)
  await startSide('here', ravenpost, startLoad)
  await startSide('there', other, startOther)
  // The first round warms both up.
  for (const side of sides) await takeTurn(side)
  for (let round = 0; round < rounds; round++) {
    // Who comes first changes from round to round.
    for (const side of round % 2 === 0 ? sides : sides.toReversed()) side.turns.push(await takeTurn(side))
    console.log(
      `round ${round + 1}: ${sides.map(({ name, turns }) => `${name} p50 ${turns.at(-1)?.['p50 answer to frame']?.toFixed(2)} ms`).join('; ')}`,
    )
  }
  printComparison(sides as [Side, Side])
} finally {
  signalAll(sides, 'SIGCONT')
  for (const { load, system, machine } of sides) {
    await load.stop()
    await system.stop()
    await machine.stop()
  }
}
process.exit()

async function startSide(name: string, stack: Stack, start: typeof startLoad): Promise<void> {
  const machine = await startMachine({ events: past, notifications: past })
  const system = await stack.start(machine, world, ['api', 'worker', 'push'])
  const load = await start(world, stack.protocol)
  const side = { name, machine, system, load, firstPost: WARM_UP + 1, turns: [] }
  sides.push(side)
  await connectAll(side, world)
  await warmUp(side, WARM_UP)
  signalAll([side], 'SIGSTOP')
}

async function takeTurn(side: Side): Promise<Measured> {
  const { system, load } = side
  signalAll([side], 'SIGCONT')
  await sleep(SETTLE_MS)
  const before = cpuMs(system.roots)
  const sent = await load.like({ url: system.urlOf('api'), firstPost: side.firstPost, seconds: SECONDS, rate })
  const got = await load.expect({ count: sent.answered, withinMs: 120_000 })
  const cpu = difference(cpuMs(system.roots), before)
  await load.reset()
  signalAll([side], 'SIGSTOP')
  side.firstPost = sent.nextPost
  if (sent.failed > 0 || got.arrived !== sent.answered || got.doubled > 0)
    throw new Error(`${side.name}: ${sent.failed} failed, ${sent.answered - got.arrived} lost, ${got.doubled} doubled`)
  return {
    'p50 answer to frame': got.fromAnswer.p50,
    'p99 answer to frame': got.fromAnswer.p99,
    'p50 answer': sent.latency.p50,
    CPU: sum(cpu) / sent.answered,
    ...Object.fromEntries(Object.entries(cpu).map(([process, ms]) => [`CPU of ${process}`, ms / sent.answered])),
  }
}

/** Prints the medians, and the mean ratio of each round's figures with its standard error. */
function printComparison([here, there]: [Side, Side]): void {
  for (const figure of Object.keys(here.turns[0] ?? {})) {
    const of = ({ turns }: Side) => turns.map((turn) => turn[figure] ?? Number.NaN)
    const ratios = of(here).map((value, round) => Math.log(value / (of(there)[round] ?? Number.NaN)))
    const mean = sum(ratios) / ratios.length
    const variance = sum(ratios.map((ratio) => (ratio - mean) ** 2)) / (ratios.length - 1)
    const error = Math.sqrt(variance / ratios.length)
    const medians = [here, there].map((side) => toFigure(of(side)).median.toFixed(2))
    console.log(
      `${figure}: here ${medians[0]} ms, there ${medians[1]} ms, here ÷ there ${Math.exp(mean).toFixed(3)} ± ${error.toFixed(3)}`,
    )
  }
}

function signalAll(all: Side[], signal: NodeJS.Signals): void {
  for (const { system, load } of all)
    for (const pid of [...system.roots, { pid: load.pid }].flatMap(({ pid }) => [pid, ...descendantsOf(pid)])) {
      try {
        process.kill(pid, signal)
      } catch {
        // The process ended meanwhile.
      }
    }
}

function sum(values: number[] | Record<string, number>): number {
  return Object.values(values).reduce((total, value) => total + value, 0)
}
