import { type Static, Type } from '@sinclair/typebox'
import pg from 'pg'
import { isTimeout } from '../../base/failure.ts'
import { inSnapshot } from '../../db/long-reads.ts'
import { fail } from '../../errors.ts'
import { type Audience, faultOfQuery } from '../../notify/broadcasts/audience.ts'
import { toUser, User, type UserRow, userColumns } from '../users/view.ts'
import { compileRule } from './compile.ts'
import type { Rule } from './rule.ts'

export const Estimate = Type.Object({
  count: Type.Integer({ description: 'Users of the segment' }),
  exact: Type.Boolean({ description: 'false: counting took too long, and the count is what the planner expects' }),
  sample: Type.Array(User, { maxItems: 10 }),
  ms: Type.Number({ description: 'Time that it took' }),
})

/** Timeout of an exact count, after which the planner's estimate is returned. */
const COUNT_TIMEOUT_MS = 3000
const SAMPLE = 10

/** SQL condition of an audience; for a query, of the ids that it selects. */
export function compileAudience(audience: Audience<Rule>, values: unknown[]): string {
  if ('everyone' in audience) return 'true'
  if ('rule' in audience) return compileRule(audience.rule, values)
  values.push(audience.sql)
  return `u.id in (select q.user_id from social.users_of_query($${values.length}::text) q (user_id))`
}

/**
 * Returns the number of users in an audience, and some of them. Writes nothing.
 * @throws {AppError} BAD_SEGMENT for a query that fails or takes too long
 */
export async function estimate(
  client: pg.ClientBase,
  audience: Audience<Rule>,
  viewerId: string,
): Promise<Static<typeof Estimate>> {
  const startedAt = performance.now()
  const counted = await reading(client, () => count(client, audience)).catch((error) => {
    if (isTimeout(error) && !('sql' in audience)) return null
    throw segmentError(error)
  })
  const found = counted ?? { count: await reading(client, () => expected(client, audience)), exact: false }
  const sample = await reading(client, () => readSample(client, audience, viewerId)).catch((error) => {
    if (isTimeout(error)) return []
    throw segmentError(error)
  })
  return { ...found, sample, ms: Math.round(performance.now() - startedAt) }
}

const reading = <T>(client: pg.ClientBase, work: () => Promise<T>) => inSnapshot(client, COUNT_TIMEOUT_MS, work)

const members = (condition: string) =>
  `social.users u join notify.inbox i on i.user_id = u.id where u.deleted_at is null and (${condition})`

async function count(client: pg.ClientBase, audience: Audience<Rule>) {
  const values: unknown[] = []
  const { rows } = await client.query<{ count: number }>(
    `select count(*)::int as count from ${members(compileAudience(audience, values))}`,
    values,
  )
  return { count: rows[0]?.count ?? 0, exact: true }
}

async function expected(client: pg.ClientBase, audience: Audience<Rule>): Promise<number> {
  const values: unknown[] = []
  const { rows } = await client.query<{ 'QUERY PLAN': [{ Plan: { 'Plan Rows': number } }] }>(
    `explain (format json) select u.id from ${members(compileAudience(audience, values))}`,
    values,
  )
  return rows[0]?.['QUERY PLAN'][0].Plan['Plan Rows'] ?? 0
}

async function readSample(client: pg.ClientBase, audience: Audience<Rule>, viewerId: string) {
  const values: unknown[] = [viewerId]
  const { rows } = await client.query<UserRow>(
    `select ${userColumns('$1::bigint')} from ${members(compileAudience(audience, values))} order by u.id limit ${SAMPLE}`,
    values,
  )
  return rows.map(toUser)
}

/** Turns errors that the administrator can fix in the query (syntax, names, rights, time) into BAD_SEGMENT, without values of rows. */
export function segmentError(error: unknown): unknown {
  const isFault = error instanceof pg.DatabaseError && /^(3F|42|22|21|0A|57014|25006|P0)/.test(error.code ?? '')
  return isFault ? fail('BAD_SEGMENT', faultOfQuery(error), { cause: error }) : error
}
