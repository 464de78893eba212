import { fail } from '../../errors.ts'

/** Who waits, and how many of theirs may wait at a time. */
export type Share = { of: string; most: number }

/**
 * Runs at most `atOnce` pieces of work at a time; up to `mostWaiting` others wait their turn, in order, and of each share no more
 * than it allows: a flood from one network leaves the others room.
 * The function it makes @throws {AppError} BUSY when more would wait
 */
export function createSlots(
  atOnce: number,
  mostWaiting: number,
): <T>(work: () => Promise<T>, share?: Share) => Promise<T> {
  const waiting: { of: string; begin: () => void }[] = []
  let running = 0
  const hasRoom = (share: Share) =>
    waiting.length < mostWaiting && waiting.filter(({ of }) => of === share.of).length < share.most
  return async (work, share = { of: '', most: mostWaiting }) => {
    if (running < atOnce) running += 1
    else if (!hasRoom(share)) throw fail('BUSY', 'Too many people sign in at once.', { retryAfter: 1 })
    else await new Promise<void>((begin) => waiting.push({ of: share.of, begin }))
    try {
      return await work()
    } finally {
      // Whoever waits longest takes the slot over.
      const next = waiting.shift()
      if (next) next.begin()
      else running -= 1
    }
  }
}
