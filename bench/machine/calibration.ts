import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** Speed of the machine at one time. `hashMs`: time for a fixed amount of work. `stolen`, `total`: ticks since the machine's start. */
export type Calibration = { hashMs: number; stolen: number; total: number }

const ROUNDS = 5
const HASHES = 40_000
const MOST_DRIFT = 0.05
const MOST_STOLEN = 0.02

/** Pause after a run, so that its last work, such as the writes of a checkpoint, is finished. */
const SETTLING_MS = 1500

/** Takes the fastest of a few rounds, because other programs can only slow a round down. */
export async function calibrate(): Promise<Calibration> {
  await sleep(SETTLING_MS)
  const block = Buffer.alloc(1024, 'ravenpost')
  const times = Array.from({ length: ROUNDS }, () => {
    const startedAt = performance.now()
    for (let i = 0; i < HASHES; i++) createHash('sha256').update(block).digest()
    return performance.now() - startedAt
  })
  return { hashMs: Math.min(...times), ...readTicks() }
}

/** The reason to discard a run between these times; undefined if it counts. */
export function disturbance(before: Calibration, after: Calibration): string | undefined {
  const drift = Math.abs(after.hashMs / before.hashMs - 1)
  if (drift > MOST_DRIFT) return `the machine's speed changed by ${Math.round(drift * 100)} %`
  const stolen = (after.stolen - before.stolen) / Math.max(1, after.total - before.total)
  if (stolen > MOST_STOLEN) return `the host took ${Math.round(stolen * 100)} % of the processors' time`
  return undefined
}

/** The first line of /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal, … */
function readTicks(): { stolen: number; total: number } {
  const ticks = (readFileSync('/proc/stat', 'utf8').split('\n')[0] ?? '').split(/\s+/).slice(1, 9).map(Number)
  return { stolen: ticks[7] ?? 0, total: ticks.reduce((sum, each) => sum + each, 0) }
}
