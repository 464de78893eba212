import type pg from 'pg'
import { HELD } from '../db/coalescer.ts'
import type { Columns } from '../db/columns.ts'

/**
 * Finds those of some pairs of ids that exist, are visible, and have a row locked by another transaction. `text` returns
 * `first` and `second` of each, from the rows of `pairs`.
 */
export type HeldQuery<Request> = {
  name: string
  text: string
  pairs: Columns<Request, void>
  keyOf: (request: Request) => string
}

export const keyOf = (first: string, second: string): string => `${first} ${second}`

/**
 * Sets the outcome `HELD`, by `keyOf`, for the pairs that a batch skipped because another transaction has locked one of
 * their rows.
 */
export async function addHeld<Request, Outcome>(
  pool: pg.Pool,
  query: HeldQuery<Request>,
  requests: Request[],
  outcomes: Map<string, Outcome | typeof HELD>,
): Promise<void> {
  if (outcomes.size === requests.length) return
  const missing = requests.filter((request) => !outcomes.has(query.keyOf(request)))
  const { rows } = await pool.query<{ first: string; second: string }>({
    name: query.name,
    text: query.text,
    values: query.pairs.values(missing),
  })
  for (const { first, second } of rows) outcomes.set(keyOf(first, second), HELD)
}
