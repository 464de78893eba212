import { Type } from '@sinclair/typebox'
import type pg from 'pg'
import { isContentError, isLockTimeout, isTimeout } from '../base/failure.ts'
import { inTransaction } from '../db/transaction.ts'
import { AppError, fail, messageOf } from '../errors.ts'
import type { Consumer } from '../notify/outbox/consume.ts'
import { parseEvent } from '../notify/outbox/event.ts'
import { textOrNull } from '../protocol/nullable.ts'

const Counts = Type.Object({ unreadCount: Type.Integer(), unseenCount: Type.Integer() })

export const DryRun = Type.Object({
  outcome: Type.Unsafe<Outcome>({
    type: 'string',
    enum: ['applies', 'fails', 'waits'],
    description: 'waits: another transaction holds the inbox or the object right now',
  }),
  error: textOrNull('Why it fails'),
  decision: textOrNull('As in notify.sources: shown, waiting, suppressed, filtered, retracted, …; null: no recipient'),
  decidedBy: textOrNull('The rule that decides'),
  notificationId: textOrNull('The notification that it makes or changes'),
  before: Type.Union([Counts, Type.Null()]),
  after: Type.Union([Counts, Type.Null()]),
  channels: Type.Array(Type.String(), { description: 'Channels besides the app for which a message is queued' }),
})

type Outcome = 'applies' | 'fails' | 'waits'
type Counts = { unreadCount: number; unseenCount: number }
type Result = {
  outcome: Outcome
  error: string | null
  decision: string | null
  decidedBy: string | null
  notificationId: string | null
  before: Counts | null
  after: Counts | null
  channels: string[]
}
const nothing = {
  error: null,
  decision: null,
  decidedBy: null,
  notificationId: null,
  before: null,
  after: null,
  channels: [],
}

/** Carries the result out of the transaction that is rolled back. */
class RolledBack {
  readonly result: Result
  constructor(result: Result) {
    this.result = result
  }
}

/**
 * Predicts the result of replaying this dead letter: the consumer applies the event in a transaction that is rolled
 * back. Nothing is written, and nobody is notified.
 * @throws {AppError} DEAD_LETTER_NOT_FOUND
 */
export async function dryRun(pool: pg.Pool, consumers: Record<string, Consumer>, id: string): Promise<Result> {
  try {
    await inTransaction(pool, async (trx) => {
      throw new RolledBack(await applyOnce(trx, consumers, id))
    })
  } catch (thrown) {
    if (thrown instanceof RolledBack) return thrown.result
    if (thrown instanceof AppError) throw thrown
    if (isContentError(thrown)) return { ...nothing, outcome: 'fails', error: messageOf(thrown) }
    if (isTimeout(thrown) || isLockTimeout(thrown)) return { ...nothing, outcome: 'waits', error: messageOf(thrown) }
    throw thrown
  }
  throw new Error('a dry run was committed')
}

async function applyOnce(trx: pg.ClientBase, consumers: Record<string, Consumer>, id: string): Promise<Result> {
  const { rows } = await trx.query<{ consumer: string; event: unknown }>(
    'select consumer, event from notify.pending where id = $1::bigint and dead_at is not null',
    [id],
  )
  const consumer = rows[0] && consumers[rows[0].consumer]
  if (!rows[0] || !consumer) throw fail('DEAD_LETTER_NOT_FOUND')
  const event = parseEvent(rows[0].event)
  const before = await countsOf(trx, event.recipientId)
  const busy = await consumer(trx, [event], 'set aside')
  if (busy.length > 0) return { ...nothing, outcome: 'waits', before }
  const after = await countsOf(trx, event.recipientId)
  return {
    ...nothing,
    outcome: 'applies',
    before,
    after,
    ...(await decisionOn(trx, event.recipientId, event.sourceId)),
  }
}

async function countsOf(trx: pg.ClientBase, userId: string | null): Promise<Counts | null> {
  const { rows } = await trx.query<Counts>(
    'select unread_count as "unreadCount", unseen_count as "unseenCount" from notify.inbox where user_id = $1::bigint',
    [userId],
  )
  return rows[0] ?? null
}

/** Reads the decision and the messages that were queued. */
async function decisionOn(trx: pg.ClientBase, userId: string | null, sourceId: string) {
  const { rows } = await trx.query<Pick<Result, 'decision' | 'decidedBy' | 'notificationId' | 'channels'>>(
    `select s.decision, s.decided_by as "decidedBy", s.notification_id::text as "notificationId",
       array(select distinct d.channel from notify.deliveries d
             where d.user_id = s.user_id and d.notification_id = s.notification_id and d.queued_at = now() order by 1) as channels
     from notify.sources s where s.user_id = $1::bigint and s.source_id = $2`,
    [userId, sourceId],
  )
  return rows[0]
}
