import type pg from 'pg'
import { HELD } from '../db/coalescer.ts'

/**
 * Finds those of some pairs of ids ($1 and $2, bigint[]) that exist, are visible, and have a row locked by another
 * transaction. Returns `first` and `second`.
 */
export type HeldQuery = { name: string; text: string }

export const keyOf = (first: string, second: string): string => `${first} ${second}`

/**
 * Sets the outcome `HELD`, by `keyOf`, for the pairs that a batch skipped because another transaction has locked a row.
 */
export async function addHeld<Outcome>(
  pool: pg.Pool,
  query: HeldQuery,
  firsts: string[],
  seconds: string[],
  outcomes: Map<string, Outcome | typeof HELD>,
): Promise<void> {
  if (outcomes.size === firsts.length) return
  const isMissing = (_: string, at: number) => !outcomes.has(keyOf(firsts[at] ?? '', seconds[at] ?? ''))
  const { rows } = await pool.query<{ first: string; second: string }>({
    ...query,
    values: [firsts.filter(isMissing), seconds.filter(isMissing)],
  })
  for (const { first, second } of rows) outcomes.set(keyOf(first, second), HELD)
}
