import type pg from 'pg'
import type { Queryable } from '../db/client.ts'
import { HELD } from '../db/coalescer.ts'
import type { Columns } from '../db/columns.ts'

/**
 * A statement that writes many pairs of ids at once, such as likes of posts by users. Its rows are the pairs that exist, are
 * visible and were not locked.
 */
export type PairStatement<Request, Row, Outcome> = {
  name: string
  text: string
  requests: Columns<Request, void>
  outcomeOf: (row: Row) => Outcome | typeof HELD
  /** Outcome of a pair that does not exist or is not visible. */
  missing: Outcome
  pair: Pair<Request, Row>
  held: HeldQuery<Request>
}

/** The two ids of a request or row. */
type Pair<Request, Row> = (of: Request | Row) => readonly [first: string, second: string]

/**
 * Finds those of some pairs that exist and are visible. `text` returns `first` and `second` of each, from the rows of
 * `pairs`.
 */
export type HeldQuery<Request> = { name: string; text: string; pairs: Columns<Request, void> }

/**
 * Runs the statement. Returns outcomes in the order of the requests. Pairs that it skipped because another transaction has
 * locked one of their rows are `HELD`.
 */
export async function writePairs<Request, Row extends pg.QueryResultRow, Outcome>(
  db: Queryable,
  statement: PairStatement<Request, Row, Outcome>,
  requests: Request[],
): Promise<(Outcome | typeof HELD)[]> {
  const { name, text, requests: columns, outcomeOf, missing, pair, held } = statement
  const keyOf = (of: Request | Row) => pair(of).join(' ')
  const { rows } = await db.query<Row>({ name, text, values: columns.values(requests) })
  const outcomes = new Map<string, Outcome | typeof HELD>(rows.map((row) => [keyOf(row), outcomeOf(row)]))
  const skipped = await findHeld(
    db,
    held,
    requests.filter((request) => !outcomes.has(keyOf(request))),
  )
  return requests.map((request) => {
    const key = keyOf(request)
    return outcomes.get(key) ?? (skipped.has(key) ? HELD : missing)
  })
}

async function findHeld<Request>(
  db: Queryable,
  { name, text, pairs }: HeldQuery<Request>,
  requests: Request[],
): Promise<Set<string>> {
  if (requests.length === 0) return new Set()
  const { rows } = await db.query<{ first: string; second: string }>({ name, text, values: pairs.values(requests) })
  return new Set(rows.map(({ first, second }) => `${first} ${second}`))
}
