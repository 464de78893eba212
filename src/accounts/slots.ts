import { fail } from '../errors.ts'

/**
 * Runs at most `atOnce` pieces of work at a time; up to `mostWaiting` others wait their turn, in order.
 * The function it makes @throws {AppError} BUSY when more would wait
 */
export function createSlots(atOnce: number, mostWaiting: number): <T>(work: () => Promise<T>) => Promise<T> {
  const waiting: (() => void)[] = []
  let running = 0
  return async (work) => {
    if (running < atOnce) running += 1
    else if (waiting.length >= mostWaiting) throw fail('BUSY', 'Too many people sign in at once.', { retryAfter: 1 })
    else await new Promise<void>((resolve) => waiting.push(resolve))
    try {
      return await work()
    } finally {
      // Whoever waits longest takes the slot over.
      const next = waiting.shift()
      if (next) next()
      else running -= 1
    }
  }
}
