import type pg from 'pg'
import { fail } from '../../errors.ts'
import { type Broadcast, findBroadcast, type State, threadOf } from './broadcast.ts'
import { announceEnd } from './sending/end.ts'
import { addParts, wakeParts } from './sending/parts.ts'
import { dropLate } from './sending/recall.ts'

/** What a draft consists of: all that can be changed until it is sent. */
export type DraftContent = Pick<
  Broadcast,
  | 'name'
  | 'templateId'
  | 'templateVersion'
  | 'segmentId'
  | 'audience'
  | 'content'
  | 'priority'
  | 'channels'
  | 'sendAt'
  | 'wallTime'
  | 'perSecond'
  | 'expiresIn'
>

export async function createBroadcast(trx: pg.ClientBase, createdBy: string, draft: DraftContent): Promise<Broadcast> {
  const { rows } = await trx.query<{ id: string }>(
    `insert into notify.broadcasts (${draftColumns}, created_by)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) returning id`,
    [...valuesOf(draft), createdBy],
  )
  return required(await findBroadcast(trx, String(rows[0]?.id)))
}

/**
 * Replaces a draft whole.
 * @throws {AppError} BROADCAST_NOT_FOUND, BROADCAST_STATE once it was sent
 */
export async function replaceDraft(
  trx: pg.ClientBase,
  id: string,
  draft: DraftContent,
): Promise<{ before: Broadcast; now: Broadcast }> {
  const before = await lockIn(trx, id, ['draft'])
  await trx.query(
    `update notify.broadcasts set (${draftColumns}) = row ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) where id = $13`,
    [...valuesOf(draft), id],
  )
  return { before, now: required(await findBroadcast(trx, id)) }
}

/**
 * @returns the draft before its removal
 * @throws {AppError} BROADCAST_NOT_FOUND, BROADCAST_STATE once it was sent
 */
export async function deleteDraft(trx: pg.ClientBase, id: string): Promise<Broadcast> {
  const before = await lockIn(trx, id, ['draft'])
  await trx.query('delete from notify.broadcasts where id = $1', [id])
  return before
}

const draftColumns = `name, template_id, template_version, segment_id, audience, content, priority, channels, send_at, wall_time,
  per_second, expires_in`

function valuesOf(draft: DraftContent): unknown[] {
  return [
    draft.name,
    draft.templateId,
    draft.templateVersion,
    draft.segmentId,
    JSON.stringify(draft.audience),
    JSON.stringify(draft.content),
    draft.priority,
    draft.channels,
    draft.sendAt,
    draft.wallTime,
    draft.perSecond,
    draft.expiresIn,
  ]
}

/**
 * Locks a broadcast.
 * @returns the broadcast before the change
 * @throws {AppError} BROADCAST_NOT_FOUND, BROADCAST_STATE unless it is in one of these states
 */
async function lockIn(trx: pg.ClientBase, id: string, states: State[]): Promise<Broadcast> {
  const broadcast = required(await findBroadcast(trx, id, { lock: true }))
  if (!states.includes(broadcast.state))
    throw fail('BROADCAST_STATE', `The broadcast is ${broadcast.state}; this needs one that is ${states.join(' or ')}`)
  return broadcast
}

/** Sends a draft now, or schedules it for its time. */
export async function sendBroadcast(trx: pg.ClientBase, id: string, requestId: string): Promise<Broadcast> {
  const draft = await lockIn(trx, id, ['draft'])
  await trx.query(
    `update notify.broadcasts set state = 'scheduled', scheduled_at = now(), request_id = $2, event_id = nextval('notify.outbox_id_seq')
     where id = $1`,
    [id, requestId],
  )
  await addParts(trx, draft)
  return required(await findBroadcast(trx, id))
}

/** Pauses a broadcast. Takes effect with the next chunk. */
export async function pauseBroadcast(trx: pg.ClientBase, id: string): Promise<Broadcast> {
  await lockIn(trx, id, ['running'])
  await trx.query(`update notify.broadcasts set state = 'paused' where id = $1`, [id])
  return required(await findBroadcast(trx, id))
}

export async function resumeBroadcast(trx: pg.ClientBase, id: string): Promise<Broadcast> {
  await lockIn(trx, id, ['paused'])
  // The rate is measured from now on.
  await trx.query(
    `update notify.broadcasts set state = 'running', measured_done = done, measured_from = now() where id = $1`,
    [id],
  )
  await wakeParts(trx, id)
  return required(await findBroadcast(trx, id))
}

/**
 * Cancels a broadcast. Sent notifications remain; after the running chunks nothing else is sent, and the last part announces
 * the end.
 */
export async function cancelBroadcast(trx: pg.ClientBase, id: string): Promise<Broadcast> {
  await lockIn(trx, id, ['draft', 'scheduled', 'running', 'paused'])
  await trx.query(`update notify.broadcasts set state = 'cancelled', finished_at = now() where id = $1`, [id])
  await wakeParts(trx, id)
  await dropLate(trx, id)
  return required(await findBroadcast(trx, id))
}

/** Recalls a broadcast: stops sending, and retracts sent notifications in chunks. */
export async function recallBroadcast(trx: pg.ClientBase, id: string): Promise<Broadcast> {
  const before = await lockIn(trx, id, ['running', 'paused', 'finished', 'cancelled'])
  await trx.query(
    `update notify.broadcasts set state = 'recalled', recalled_at = now(), finished_at = coalesce(finished_at, now()) where id = $1`,
    [id],
  )
  await wakeParts(trx, id)
  await dropLate(trx, id)
  await announceEnd(trx, id)
  await trx.query(`insert into notify.fan_outs (kind, object_id, thread_key) values ('recall_broadcast', $1, $2)`, [
    id,
    threadOf(before),
  ])
  return required(await findBroadcast(trx, id))
}

export function required(broadcast: Broadcast | undefined): Broadcast {
  if (!broadcast) throw fail('BROADCAST_NOT_FOUND')
  return broadcast
}
