import { setTimeout as delay } from 'node:timers/promises'
import { type Static, Type } from '@sinclair/typebox'
import { bulkhead } from 'cockatiel'
import type pg from 'pg'
import type { App } from '../../app.ts'
import { inTransaction } from '../../db/transaction.ts'
import { fail } from '../../errors.ts'
import type { Read, Reader, Row } from '../../http/shown-sql/reader.ts'
import { timeOrNull } from '../../protocol/nullable.ts'
import { threadOf } from './broadcast.ts'

const number = (description: string) => Type.Unsafe<number | null>({ type: ['number', 'null'], description })

/** Numbers of recipients. `done` = stored + filtered + suppressed + failed + waiting. */
export const BroadcastProgress = Type.Object({
  total: Type.Unsafe<number | null>({
    type: ['integer', 'null'],
    description:
      'Recipients, counted at the beginning and again at the end; null: not begun, or too many to count in time',
  }),
  done: Type.Integer({ description: 'Recipients processed so far' }),
  stored: Type.Integer({ description: 'Shown in the inbox, silently too' }),
  filtered: Type.Integer({ description: 'Stored, but not in the app: for another channel only, or from a stranger' }),
  suppressed: Type.Integer({ description: 'Unwanted by a rule or preference, or expired' }),
  waiting: Type.Integer({ description: 'Their inbox was held; they follow within seconds' }),
  failed: Type.Integer({ description: 'Dead letters' }),
  recalled: Type.Integer({ description: 'Inboxes from which it was retracted' }),
  pushed: Type.Integer({ description: 'Sent to a device, of those still in inboxes' }),
  acknowledged: Type.Integer({ description: 'Received by a device, of those still in inboxes' }),
  read: Type.Integer({ description: 'Read, of those still in inboxes' }),
  rate: number('Recipients per second since it began or was resumed; null: not running'),
  eta: timeOrNull('Expected end'),
  countedAt: timeOrNull('Time at which pushed, acknowledged and read were counted; null: the first count is under way'),
})
export type BroadcastProgress = Static<typeof BroadcastProgress>

type Stored = Record<'done' | 'stored' | 'filtered' | 'suppressed' | 'failed' | 'recalled', number> & {
  total: number | null
  rate: number | null
}

/**
 * A broadcast and its progress, exact in the snapshot of the read.
 * @throws {AppError} BROADCAST_NOT_FOUND
 */
export async function readBroadcastWithProgress({ reader, pool }: Pick<App, 'reader' | 'pool'>, id: string) {
  const { rows, sql } = await reader.read('broadcast', [id])
  if (!rows[0]) throw fail('BROADCAST_NOT_FOUND')
  const { total, done, stored, filtered, suppressed, failed, recalled, rate, ...broadcast } = rows[0] as Row & Stored
  const left = total === null ? null : Math.max(0, total - done)
  const { reached, sql: sqlOfReached } = await countReached(reader, pool, id)
  const progress: BroadcastProgress = {
    total,
    done,
    stored,
    filtered,
    suppressed,
    recalled,
    waiting: Math.max(0, done - stored - filtered - suppressed - failed),
    failed,
    ...reached,
    rate,
    eta: rate !== null && rate > 0 && left !== null ? new Date(Date.now() + (1000 * left) / rate).toISOString() : null,
  }
  return { ...broadcast, progress, sql: { broadcast: sql, reached: sqlOfReached } }
}

type Reached = {
  reached: Pick<BroadcastProgress, 'pushed' | 'acknowledged' | 'read' | 'countedAt'>
  sql: Read['sql']
}

/** Maximum share of the time that counting many late recipients takes, however often progress is read. */
const SHARE = 0.01
/** Up to this number of late recipients, each read counts them. */
const MANY = 10_000
/** A count that takes longer goes on while the former one is answered: reading progress does not fail because it is large. */
const PATIENCE_MS = 1000

type Count = { known: Reached; until: number; running: Promise<Reached> | undefined }
const counts = new Map<string, Count>()

/** Counts of other broadcasts wait, so that they take one connection of requests at most. */
const oneAtATime = bulkhead(1, Number.MAX_SAFE_INTEGER)

/** Uses the pool of requests, because counting a million takes longer than the console allows. */
async function countReached(reader: Reader, pool: pg.Pool, id: string): Promise<Reached> {
  const count = counts.get(id) ?? { known: nothing(id), until: 0, running: undefined }
  if (count.until > performance.now()) return count.known
  counts.set(id, count)
  count.running ??= oneAtATime
    .execute(() => recount(reader, pool, id, count))
    .finally(() => {
      count.running = undefined
    })
  return Promise.race([count.running, delay(PATIENCE_MS, undefined, { ref: false }).then(() => count.known)])
}

function nothing(id: string): Reached {
  return {
    reached: { pushed: 0, acknowledged: 0, read: 0, countedAt: null },
    sql: { name: 'broadcast-reached', parameters: [threadOf({ id }), '0', SLICE], milliseconds: 0, rows: 0 },
  }
}

async function recount(reader: Reader, pool: pg.Pool, id: string, count: Count): Promise<Reached> {
  const startedAt = performance.now()
  const { inInboxes, ...found } = await sumReached(pool, reader.textOf('broadcast-reached'), threadOf({ id }))
  const milliseconds = Math.round((performance.now() - startedAt) * 100) / 100
  // With a limit of as many users, the same statement gives the sum.
  const parameters = [threadOf({ id }), '0', Math.max(inInboxes, SLICE)]
  const sql = { name: 'broadcast-reached', parameters, milliseconds, rows: 1 }
  count.known = { reached: { ...found, countedAt: new Date().toISOString() }, sql }
  if (inInboxes >= MANY) count.until = performance.now() + Math.min(milliseconds / SHARE, 60_000)
  else counts.delete(id)
  return count.known
}

/** Users per statement, so that none takes more than 50 ms, however large the broadcast is. */
const SLICE = 10_000

type Sum = { inInboxes: number; pushed: number; acknowledged: number; read: number }
type Slice = Sum & { lastUserId: string | null }

/** Adds the slices of a broadcast, all of one snapshot. `text`: the statement `broadcast-reached`. */
export function sumReached(pool: pg.Pool, text: string, threadKey: string, slice = SLICE): Promise<Sum> {
  return inTransaction(pool, async (client) => {
    await client.query('set transaction isolation level repeatable read, read only')
    const sum = { inInboxes: 0, pushed: 0, acknowledged: 0, read: 0 }
    for (let after: string | null = '0'; after !== null; ) {
      const found: Slice | undefined = (await client.query<Slice>(text, [threadKey, after, slice])).rows[0]
      if (!found) break
      sum.inInboxes += found.inInboxes
      sum.pushed += found.pushed
      sum.acknowledged += found.acknowledged
      sum.read += found.read
      after = found.inInboxes === slice ? found.lastUserId : null
    }
    return sum
  })
}
