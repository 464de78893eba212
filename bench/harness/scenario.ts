import { calibrate, disturbance } from '../machine/calibration.ts'
import type { Machine } from '../machine/machine.ts'

export type Bench = {
  machine: Machine
  /** Small sizes and one run: checks that everything works, and does not measure speed. */
  quick: boolean
  runs: number
  /** Runs only stacks whose name begins with this. */
  only: string | undefined
  /** Number of runs of a scenario that may still be repeated because the machine's speed changed. */
  repeats: number
  say(line: string): void
}

/** The world of quick runs. Most scenarios share it, so that it is made once. */
export const quickWorld = { recipients: 500, likers: 1000, posts: 40_000 }

/** The figures of one run. Names contain the unit. */
export type Measured = Record<string, number>

export type Figure = { median: number; min: number; max: number; runs: number[] }
export type Row = { stack: string; figures: Record<string, Figure> }
export type Target = { text: string; reached: string; met: boolean | null }
export type Result = { rows: Row[]; targets: Target[]; notes: string[] }

export type Scenario = {
  id: string
  title: string
  /** Names what checks the same on each change. A quick run of all scenarios then leaves this one out. */
  checkedBy?: string
  /** Maximum number of runs, for a scenario that takes long and whose figures hardly vary. */
  mostRuns?: number
  run(bench: Bench): Promise<Result>
}

/** Runs every stack once, then every stack again, so that a change of the machine's speed affects all of them. */
export async function inTurn<S extends { name: string }>(
  bench: Bench,
  stacks: S[],
  measure: (stack: S) => Promise<Measured>,
): Promise<Row[]> {
  const chosen = stacks.filter(({ name }) => name.startsWith(bench.only ?? ''))
  const found = new Map<string, Measured[]>(chosen.map(({ name }) => [name, []]))
  for (let run = 1; run <= bench.runs; run++)
    for (const stack of chosen) {
      const measured = await undisturbed(bench, () => measure(stack))
      found.get(stack.name)?.push(measured)
      bench.say(`  ${stack.name}, run ${run}: ${describe(measured)}`)
    }
  return toRows(found)
}

/** Discards and repeats a run during which the machine's speed changed, as long as repeats are left. A quick run is never repeated. */
export async function undisturbed(bench: Bench, measure: () => Promise<Measured>): Promise<Measured> {
  if (bench.quick) return measure()
  for (;;) {
    const before = await calibrate()
    const measured = await measure()
    const disturbed = disturbance(before, await calibrate())
    if (!disturbed) return measured
    bench.say(`  ${disturbed}${bench.repeats > 0 ? ': the run is repeated' : ''}`)
    if (bench.repeats === 0) return measured
    bench.repeats -= 1
  }
}

export function toRows(found: Map<string, Measured[]>): Row[] {
  return [...found].map(([stack, runs]) => ({ stack, figures: toFigures(runs) }))
}

/** Figures that are not zero but must be. Losses of Ravenpost are failures; losses of the other stacks are results. */
const peers = /^(usual stack|BullMQ|pg-boss|graphile-worker)/
const mustBeZero =
  /^(likes )?(lost|doubled|missed|not stored|not pushed|pushed twice|not told|told twice|count drift)\b/

export function lostOrDoubled(rows: Row[]): string[] {
  const own = rows.filter(({ stack }) => !peers.test(stack))
  return own.flatMap(({ stack, figures }) =>
    Object.entries(figures)
      .filter(([name, { min, max }]) => mustBeZero.test(name) && (min !== 0 || max !== 0))
      .map(([name, { min, max }]) => `${stack}, ${name}: ${min === max ? max : `${min} to ${max}`}`),
  )
}

export function medianOf(rows: Row[], stack: string, figure: string): number {
  return rows.find((row) => row.stack === stack)?.figures[figure]?.median ?? Number.NaN
}

export function maxOf(rows: Row[], stack: string, figure: string): number {
  return rows.find((row) => row.stack === stack)?.figures[figure]?.max ?? Number.NaN
}

/** `null` without a value to compare with. */
export function target(text: string, reached: number, met: boolean, unit = '×'): Target {
  return { text, reached: `${round(reached)} ${unit}`, met: Number.isFinite(reached) ? met : null }
}

export function round(value: number): string {
  if (!Number.isFinite(value)) return '–'
  if (Math.abs(value) >= 100) return Math.round(value).toLocaleString('en')
  return String(Math.round(value * 100) / 100)
}

export function toFigures(runs: Measured[]): Record<string, Figure> {
  const names = new Set(runs.flatMap((run) => Object.keys(run)))
  return Object.fromEntries([...names].map((name) => [name, toFigure(runs.map((run) => run[name] ?? Number.NaN))]))
}

export function toFigure(runs: number[]): Figure {
  const sorted = runs.filter(Number.isFinite).sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const [low = Number.NaN, high = Number.NaN] = [sorted[sorted.length % 2 ? middle : middle - 1], sorted[middle]]
  return { median: (low + high) / 2, min: sorted[0] ?? Number.NaN, max: sorted.at(-1) ?? Number.NaN, runs }
}

export function describe(measured: Measured): string {
  return Object.entries(measured)
    .map(([name, value]) => `${name} ${round(value)}`)
    .join(', ')
}
