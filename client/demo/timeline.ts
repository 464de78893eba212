import { setTimeout as delay } from 'node:timers/promises'
import type { Effect } from './effects.ts'

const PATIENCE_MS = 5000
/** Between two steps: people are not faster, and an inbox at rest is told of a change at once. */
const PAUSE_MS = 150

/** Prints what happens and what is seen of it, and the time from the answer of the request to the frame on the device. */
export function startTimeline() {
  const startedAt = performance.now()
  const latencies: number[] = []
  let checks = 0

  /** Does something and waits for its effects. None may be there before: seeing it would prove nothing. */
  async function step<T>(what: string, act: () => Promise<T> | T, ...expected: Effect[][]): Promise<T> {
    const effects = expected.flat()
    await delay(PAUSE_MS)
    const early = effects.find(({ met }) => met())
    if (early) throw new Error(`${early.device.name} ${early.says}, but before this: ${what}`)
    const arrivals = effects.map(({ device, met }) => device.until(met, PATIENCE_MS))
    const result = await Promise.race([act(), tooLate(what)])
    const answeredAt = performance.now()
    console.log(`${((answeredAt - startedAt) / 1000).toFixed(3).padStart(8)} s  ${what}`)
    for (const [index, { device, says }] of effects.entries()) {
      const arrivedAt = await arrivals[index]
      if (arrivedAt === undefined) throw new Error(`${device.name} ${says}: not within ${PATIENCE_MS / 1000} s`)
      latencies.push(arrivedAt - answeredAt)
      met(`${device.name} ${says}`.padEnd(80) + `${(arrivedAt - answeredAt).toFixed()} ms`.padStart(7))
    }
    return result
  }

  function check(says: string, isSo: boolean): void {
    if (!isSo) throw new Error(`not so: ${says}`)
    met(says)
  }

  function met(says: string): void {
    checks += 1
    console.log(`            ✓ ${says}`)
  }

  function end(): void {
    const sorted = latencies.sort((a, b) => a - b)
    const [median = 0, longest = 0] = [sorted[sorted.length >> 1], sorted.at(-1)]
    console.log(`\nFrom answer to frame: median ${median.toFixed()} ms, longest ${longest.toFixed()} ms.`)
    console.log(`All ${checks} checks met.`)
  }

  return { step, check, end }
}

async function tooLate(what: string): Promise<never> {
  await delay(PATIENCE_MS, undefined, { ref: false })
  throw new Error(`${what}: no answer within ${PATIENCE_MS / 1000} s`)
}
