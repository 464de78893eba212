/**
 * Preloaded into a process. SIGUSR2 moves the clock that JavaScript sees to the next of these steps. As after a change of the
 * system clock, timers and `performance.now()` are not affected. The machine's own clock stays unchanged, because other programs
 * use it.
 */
const HOUR = 3_600_000
const steps = [HOUR, -HOUR, 0]

const { now } = Date
let offset = 0
let taken = 0

globalThis.Date = class extends Date {
  constructor(...args: [] | [number]) {
    if (args.length === 0) super(now() + offset)
    else super(...args)
  }
  static override now(): number {
    return now() + offset
  }
} as DateConstructor

process.on('SIGUSR2', () => {
  offset = steps[taken++ % steps.length] ?? 0
})
