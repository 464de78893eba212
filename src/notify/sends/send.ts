import pg from 'pg'
import { lockName } from '../../db/named-lock.ts'
import { fail } from '../../errors.ts'
import type { Caller } from '../../http/idempotency.ts'

export type NewSend = {
  recipientIds: string[]
  type?: string | undefined
  title: string
  message: string
  url?: string | undefined
  data?: Record<string, unknown> | undefined
  priority?: string | undefined
  severity?: string | undefined
  actorId?: string | undefined
  groupKey?: string | undefined
  /** The sender's own name of what is told: the same one never notifies a user twice. */
  sourceId?: string | undefined
  /** Seconds. */
  expiresIn?: number | undefined
}

export type Sent = { sendId: string; total: number; accepted: number; duplicates: number }

/**
 * Writes a send and its events, inside the given transaction. Call `wakeUps.eventsAppended()` after the commit.
 * @throws {AppError} VALIDATION_FAILED for what notify.append_send refuses: one place has the limits of both doors
 */
export async function send(trx: pg.ClientBase, sender: Caller, requestId: string, what: NewSend): Promise<Sent> {
  const unique = [...new Set(what.recipientIds)]
  const sendId = await nextSendId(trx)
  const sourceId = what.sourceId === undefined ? `send:new:${sendId}` : `send:${sender}:${what.sourceId}`
  const known = what.sourceId === undefined ? new Set<string>() : await sentBefore(trx, sourceId)
  const addressed = await withInbox(
    trx,
    unique.filter((id) => !known.has(id)),
  )
  await append(trx, sourceId, addressed, what, requestId)
  const sent = {
    sendId,
    total: unique.length,
    accepted: addressed.length,
    duplicates: unique.filter((id) => known.has(id)).length,
  }
  await trx.query(
    `insert into notify.sends (id, sender, source_id, recipient_ids, accepted, duplicates) overriding system value
     values ($1, $2, $3, $4::bigint[], $5, $6)`,
    [sendId, sender, sourceId, unique, sent.accepted, sent.duplicates],
  )
  return sent
}

async function nextSendId(trx: pg.ClientBase): Promise<string> {
  const { rows } = await trx.query<{ id: string }>(`select nextval(pg_get_serial_sequence('notify.sends', 'id')) as id`)
  return rows[0]?.id ?? ''
}

/** Under a lock until the end of the transaction: of two sends of one source at once, the second sees the first. */
async function sentBefore(trx: pg.ClientBase, sourceId: string): Promise<Set<string>> {
  await lockName(trx, sourceId)
  const { rows } = await trx.query<{ id: string }>(
    'select distinct r.id from notify.sends s, unnest(s.recipient_ids) r (id) where s.source_id = $1',
    [sourceId],
  )
  return new Set(rows.map((row) => row.id))
}

async function withInbox(trx: pg.ClientBase, ids: string[]): Promise<string[]> {
  const { rows } = await trx.query<{ id: string }>(
    'select user_id as id from notify.inbox where user_id = any($1::bigint[])',
    [ids],
  )
  return rows.map((row) => row.id)
}

async function append(
  trx: pg.ClientBase,
  sourceId: string,
  recipientIds: string[],
  { type = 'system', title, message, url, actorId, groupKey, data = {}, priority, severity, expiresIn }: NewSend,
  requestId: string,
): Promise<void> {
  try {
    await trx.query(
      `select notify.append_send($1, $2::bigint[], $3, $4, $5, $6, $7::bigint, null, null, $8, $9::jsonb, $10, $11,
         now() + make_interval(secs => $12), $13)`,
      [
        sourceId,
        recipientIds,
        type,
        title,
        message,
        url,
        actorId,
        groupKey,
        JSON.stringify(data),
        priority,
        severity,
        expiresIn,
        requestId,
      ],
    )
  } catch (error) {
    if (error instanceof pg.DatabaseError && error.code === '22023' && error.message.startsWith('notify: '))
      throw fail('VALIDATION_FAILED', error.message.slice('notify: '.length), { cause: error })
    throw error
  }
}
