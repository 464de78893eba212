import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/** What the machine is capable of at a moment. `hashMs`: a fixed amount of work. `stolen`, `total`: ticks since its start. */
export type Calibration = { hashMs: number; stolen: number; total: number }

const ROUNDS = 5
const HASHES = 40_000
const MOST_DRIFT = 0.05
const MOST_STOLEN = 0.02

/** What a run leaves behind, such as the writes of a checkpoint, is over by then. */
const SETTLING_MS = 1500

/** The fastest of a few rounds, because a neighbour can only slow one down. */
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

/** Why a run between these moments does not count; undefined: it does. */
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
