import pg from 'pg'
import type { Queryable } from '../../db/client.ts'
import { lockName } from '../../db/named-lock.ts'
import { fail } from '../../errors.ts'
import type { Caller } from '../../http/idempotency.ts'

export type NewSend = {
  recipientIds?: string[] | undefined
  /** Recipients by their ids in your application. */
  externalIds?: string[] | undefined
  type?: string | undefined
  title: string
  message: string
  url?: string | undefined
  data?: Record<string, unknown> | undefined
  priority?: string | undefined
  severity?: string | undefined
  actorId?: string | undefined
  actorExternalId?: string | undefined
  groupKey?: string | undefined
  /** The sender's own id of the event. The same source never notifies a user twice. */
  sourceId?: string | undefined
  /** Seconds until the notifications expire. */
  expiresIn?: number | undefined
}

/**
 * Numbers of recipients: `total` requested; `accepted` have an inbox and did not have this source; `duplicates` had it.
 */
export type Sent = { sendId: string; total: number; accepted: number; duplicates: number }

/**
 * Writes a send and its events in the given transaction. Call `wakeUps.eventsAppended()` after the commit.
 * @throws {AppError} VALIDATION_FAILED for anything notify.append_send refuses, and for an actor with an unknown
 * external id
 */
export async function send(trx: pg.ClientBase, sender: Caller, requestId: string, what: NewSend): Promise<Sent> {
  const externalIds = [...new Set(what.externalIds)]
  const named = await usersOf(trx, externalIds)
  const unknown = externalIds.length - named.length
  const unique = [...new Set([...(what.recipientIds ?? []), ...named])]
  const sendId = await nextSendId(trx)
  const sourceId = what.sourceId === undefined ? `send:new:${sendId}` : `send:${sender}:${what.sourceId}`
  const known = what.sourceId === undefined ? new Set<string>() : await sentBefore(trx, sourceId)
  const fresh = unique.filter((id) => !known.has(id))
  const actorId = await actorOf(trx, what)
  const sent = {
    sendId,
    total: unique.length + unknown,
    accepted: await append(trx, sourceId, fresh, { ...what, actorId }, requestId),
    duplicates: unique.length - fresh.length,
  }
  await trx.query(
    `insert into notify.sends (id, sender, source_id, recipient_ids, accepted, duplicates, unknown) overriding system value
     values ($1, $2, $3, $4::bigint[], $5, $6, $7)`,
    [sendId, sender, sourceId, unique, sent.accepted, sent.duplicates, unknown],
  )
  return sent
}

async function nextSendId(trx: pg.ClientBase): Promise<string> {
  const { rows } = await trx.query<{ id: string }>(`select nextval(pg_get_serial_sequence('notify.sends', 'id')) as id`)
  return rows[0]?.id ?? ''
}

/**
 * Locks a source until the end of the transaction: of two concurrent sends of one source, the second sees the first.
 */
async function sentBefore(trx: pg.ClientBase, sourceId: string): Promise<Set<string>> {
  await lockName(trx, sourceId)
  const { rows } = await trx.query<{ id: string }>(
    'select distinct r.id from notify.sends s, unnest(s.recipient_ids) r (id) where s.source_id = $1',
    [sourceId],
  )
  return new Set(rows.map((row) => row.id))
}

/** Converts external ids to user ids. Omits unknown ones. */
export async function usersOf(trx: Queryable, externalIds: string[]): Promise<string[]> {
  if (externalIds.length === 0) return []
  const { rows } = await trx.query<{ ids: string[] }>('select notify.users_of($1::text[])::text[] as ids', [
    externalIds,
  ])
  return rows[0]?.ids ?? []
}

/**
 * The id of an actor who is named by id or external id. `at`: pointer to the object that names the actor.
 * @throws {AppError} VALIDATION_FAILED for both ids, and for an unknown external id
 */
export async function actorOf(
  trx: pg.ClientBase,
  { actorId, actorExternalId }: Pick<NewSend, 'actorId' | 'actorExternalId'>,
  at = '',
): Promise<string | undefined> {
  if (actorExternalId === undefined) return actorId
  if (actorId !== undefined)
    throw fail('VALIDATION_FAILED', 'Send either actorId or actorExternalId, not both', {
      pointer: `${at}/actorExternalId`,
    })
  const [id] = await usersOf(trx, [actorExternalId])
  if (id === undefined)
    throw fail('VALIDATION_FAILED', 'No user has this external id', { pointer: `${at}/actorExternalId` })
  return id
}

/** Number of recipients with an inbox. notify.unreached lists the others. */
async function append(
  trx: pg.ClientBase,
  sourceId: string,
  recipientIds: string[],
  { type = 'system', title, message, url, actorId, groupKey, data = {}, priority, severity, expiresIn }: NewSend,
  requestId: string,
): Promise<number> {
  try {
    const { rows } = await trx.query<{ accepted: number }>(
      `select notify.append_send($1, $2::bigint[], $3, $4, $5, $6, $7::bigint, null, null, $8, $9::jsonb, $10, $11,
         now() + make_interval(secs => $12), $13)::int as accepted`,
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
    return rows[0]?.accepted ?? 0
  } catch (error) {
    if (error instanceof pg.DatabaseError && error.code === '22023' && error.message.startsWith('notify: '))
      throw fail('VALIDATION_FAILED', error.message.slice('notify: '.length), { cause: error })
    throw error
  }
}
