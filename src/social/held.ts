import type pg from 'pg'
import { HELD } from '../db/coalescer.ts'

/** Asks which of some pairs of ids ($1 and $2, bigint[]) somebody holds, who are neither gone nor hidden; answers `first` and `second`. */
export type HeldQuery = { name: string; text: string }

export const keyOf = (first: string, second: string): string => `${first} ${second}`

/** Adds `HELD` to the outcomes of a batch, by `keyOf`, for those of its pairs that it left out because somebody else holds a row they need. */
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
