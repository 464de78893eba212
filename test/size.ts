/** The longer run, as in CI. */
export const isFull = process.env.TEST_SIZE === 'full'

/** How many, or how large: as CI runs it (`TEST_SIZE=full`), and in the shorter run of every day, which looks for the same faults. */
export function sized(full: number, short: number): number {
  return isFull ? full : short
}

/** All of these values; in the shorter run two neighbours of them. Many calls try each. */
export function someOf<T>(...values: T[]): T[] {
  if (isFull) return values
  const from = Math.floor(Math.random() * values.length)
  return [...values, ...values].slice(from, from + 2)
}

/** Options of a test that shows nothing unless it is large. */
export const onlyInFullSize = { skip: !isFull && 'needs a large database: TEST_SIZE=full' }
