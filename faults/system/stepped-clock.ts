/**
 * Loaded into a process before its program: SIGUSR2 sets the clock that JavaScript sees to the next of these steps, as a
 * step of the system's clock does. Timers and `performance.now()` go on as before, as they do then. The clock of the machine
 * is everybody's, and left alone.
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
