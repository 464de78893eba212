import type pg from 'pg'
import { repeatChunk } from '../base/pulse.ts'
import { columns } from '../db/columns.ts'
import { inTransaction } from '../db/transaction.ts'
import { IDEMPOTENCY_KEPT } from '../http/idempotency.ts'
import { decidedLate } from '../notify/broadcasts/sending/late.ts'
import { removeEnded } from '../notify/channels/web-push/subscriptions.ts'
import { lockInboxes } from '../notify/dispatch/objects.ts'
import { expireNotifications } from '../notify/inbox/expiry.ts'
import { DEAD_LETTERS_KEPT_DAYS } from '../notify/outbox/pending.ts'
import type { Engine } from './context.ts'
import { forgetSources } from './forget-sources.ts'

/** Retention periods that are not configurable. `ops.settings` shows them. */
export const KEPT = {
  tombstones: '30 days',
  /** Mails and pushes are kept as long as notifications are by default. */
  deliveries: '90 days',
  webhookDeliveries: '30 days',
  deadLetters: `${DEAD_LETTERS_KEPT_DAYS} days`,
  idempotencyKeys: IDEMPOTENCY_KEPT,
  sends: '90 days',
  unreached: '30 days',
  endedExternalIds: '30 days',
  namedLocks: '1 day',
  /** Sources, which have their decisions, are kept for 32 days. */
  broadcastLate: '1 day',
  fanOuts: '30 days',
  failedJobs: '7 days',
} as const

const ROWS_PER_CHUNK = 1000

/**
 * SQL: the end of a sub-select of old rows that may come into use again. Without the lock, a deletion that waits for such a change
 * would then delete the changed row: PostgreSQL repeats conditions on the deleted row only, not those in the sub-select
 * (manual, "Read Committed Isolation Level").
 */
const atMostAChunk = `limit ${ROWS_PER_CHUNK} for update skip locked`

/** Deletes expired data in chunks. After a crash the next run continues. A failure in one table does not stop the others. */
export async function purge({
  config,
  pool,
  log,
  types,
}: Pick<Engine, 'config' | 'pool' | 'log' | 'types'>): Promise<void> {
  const steps = {
    // Removes all expired notifications. Usually the job that follows each expiry is first.
    notifications: () => expireNotifications({ pool, log, types }),
    tombstones: () => repeatUnlocked(pool, purgeTombstones),
    sources: () => forgetSources(pool),
    journal: () => repeatChunk(() => rowsOf(pool, oldJournal, [config.journalRetentionDays])),
    deliveries: () => repeatChunk(() => rowsOf(pool, finishedDeliveries)),
    webhookDeliveries: () => repeatChunk(() => rowsOf(pool, oldWebhookDeliveries)),
    sessions: () => repeatUnlocked(pool, purgeSessions),
    deadLetters: () => repeatChunk(() => rowsOf(pool, oldDeadLetters)),
    refreshTokens: () => repeatChunk(() => rowsOf(pool, oldRefreshTokens, [config.refreshTokenTtl])),
    idempotencyKeys: () => repeatChunk(() => rowsOf(pool, oldIdempotencyKeys)),
    sends: () => repeatChunk(() => rowsOf(pool, oldSends)),
    unreached: () => repeatChunk(() => rowsOf(pool, oldUnreached)),
    endedExternalIds: () => repeatChunk(() => rowsOf(pool, oldEndedExternalIds)),
    namedLocks: () => repeatChunk(() => rowsOf(pool, oldNamedLocks)),
    rateLimits: () => repeatChunk(() => rowsOf(pool, pastRateLimits)),
    broadcastAudiences: () => repeatChunk(() => rowsOf(pool, endedAudiences)),
    broadcastLate: () => repeatChunk(() => rowsOf(pool, oldLate)),
    fanOuts: () => repeatChunk(() => rowsOf(pool, finishedFanOuts)),
    failedJobs: () => rowsOf(pool, failedJobs),
    auditMonths: () => expireAudit(pool, config.auditRetentionMonths),
  }
  const purged: Record<string, number> = {}
  const failures: unknown[] = []
  for (const [what, step] of Object.entries(steps))
    try {
      purged[what] = await step()
    } catch (err) {
      log.error({ err, what }, 'cannot purge expired rows; retrying at the next run')
      failures.push(err)
    }
  log.info(purged, 'purged expired rows')
  if (failures.length > 0) throw new AggregateError(failures, 'some expired rows could not be purged')
}

/** Drops old months. A month that another transaction has locked is dropped by a later run. */
async function expireAudit(pool: pg.Pool, months: number): Promise<number> {
  const { rows } = await pool.query<{ dropped: number }>('select notify.expire_audit($1) as dropped', [months])
  return rows[0]?.dropped ?? 0
}

/** `held`: users whose inbox was locked. The chunk leaves them out, and adds others that it finds locked. */
type ChunkOfUsers = (client: pg.ClientBase, held: Set<string>) => Promise<number>

/** Repeats a chunk so that the rows of users whose inbox is locked do not postpone everybody else's. They stay until the next run. */
function repeatUnlocked(pool: pg.Pool, chunk: ChunkOfUsers): Promise<number> {
  const held = new Set<string>()
  const next = async (): Promise<number> => {
    const heldBefore = held.size
    const count = await inTransaction(pool, (client) => chunk(client, held))
    return count === 0 && held.size > heldBefore ? next() : count
  }
  return repeatChunk(next)
}

/** Locks the inboxes of these users. Returns the users whose inbox no other transaction holds. */
async function lockUnheld(client: pg.ClientBase, rows: { userId: string }[], held: Set<string>): Promise<string[]> {
  const users = rows.map((row) => row.userId)
  const inboxes = await lockInboxes(client, users, true)
  for (const userId of users) if (!inboxes.has(userId)) held.add(userId)
  return [...inboxes.keys()]
}

/**
 * Raises the floor in the same transaction. A client with a state below the floor must fetch its list again, because the
 * deletions after it are unknown.
 */
async function purgeTombstones(client: pg.ClientBase, held: Set<string>): Promise<number> {
  const { rows } = await client.query<{ userId: string }>(
    `select distinct user_id as "userId" from (
       select user_id from notify.tombstones
       where removed_at < now() - interval '${KEPT.tombstones}' and user_id <> all($1::bigint[])
       order by removed_at limit ${ROWS_PER_CHUNK}) t
     order by user_id`,
    [[...held]],
  )
  if (rows.length === 0) return 0
  const users = await lockUnheld(client, rows, held)
  const { rows: floors } = await client.query<Floor>(
    `select user_id as "userId", max(modseq) as floor from notify.tombstones
     where user_id = any($1::bigint[]) and removed_at < now() - interval '${KEPT.tombstones}' group by user_id`,
    [users],
  )
  const values = floored.values(floors)
  await client.query(
    `update notify.inbox i set floor_modseq = greatest(i.floor_modseq, w.floor)
     from ${floored.from} where i.user_id = w.user_id and i.user_id = any($1::bigint[])`,
    values,
  )
  const { rowCount } = await client.query(
    `delete from notify.tombstones t using ${floored.from}
     where t.user_id = w.user_id and t.modseq <= w.floor and t.user_id = any($1::bigint[])`,
    values,
  )
  return rowCount ?? 0
}

type Floor = { userId: string; floor: string }

const floored = columns<Floor>({
  user_id: ['bigint', ({ userId }) => userId],
  floor: ['bigint', ({ floor }) => floor],
})

/**
 * Deletes expired sessions with their push subscriptions. If another transaction has locked the inbox, both stay until the next
 * run.
 */
async function purgeSessions(client: pg.ClientBase, held: Set<string>): Promise<number> {
  const { rows } = await client.query<{ userId: string }>(
    `select distinct e.user_id as "userId" from (${expiredSessions}) e
     join notify.push_subscriptions p on p.user_id = e.user_id and p.session_id = e.id order by 1`,
    [[...held]],
  )
  if (rows.length > 0) await removeEnded(client, await lockUnheld(client, rows, held))
  const { rowCount } = await client.query(
    `delete from social.sessions where id = any(array(
       select s.id from (${expiredSessions} for update skip locked) s
       where not exists (select from notify.push_subscriptions p where p.user_id = s.user_id and p.session_id = s.id)))`,
    [[...held]],
  )
  return rowCount ?? 0
}

/** Whole transactions, so that no state is left with a part of its changes. */
const oldJournal = `
  delete from notify.journal where at <= (
    select max(at) from (
      select at from notify.journal where at < now() - make_interval(days => $1::int) order by at limit ${ROWS_PER_CHUNK}) o)`

const finishedDeliveries = `
  delete from notify.deliveries where (user_id, notification_id, channel, target) in (
    select user_id, notification_id, channel, target from notify.deliveries
    where due_at is null and updated_at < now() - interval '${KEPT.deliveries}' order by updated_at ${atMostAChunk})`

/** SQL that deletes the oldest webhook deliveries, even unfinished ones, because an endpoint may be disabled permanently. */
const oldWebhookDeliveries = `
  delete from notify.webhook_deliveries where id = any(array(
    select id from (select id, created_at from notify.webhook_deliveries order by id limit ${ROWS_PER_CHUNK}) d
    where created_at < now() - interval '${KEPT.webhookDeliveries}'))`

const expiredSessions = `
  select id, user_id from social.sessions
  where expires_at < now() and (revoked_at is null or revoked_at < now() - interval '25 hours') and user_id <> all($1::bigint[])
  order by expires_at limit ${ROWS_PER_CHUNK}`

const oldDeadLetters = `
  delete from notify.pending where id = any(array(
    select id from notify.pending where dead_at is not null and created_at < now() - interval '${KEPT.deadLetters}'
    order by created_at ${atMostAChunk}))`

/**
 * Deletes refresh tokens of live sessions. A token that was used or issued more than a token lifetime ago is no longer needed.
 */
const oldRefreshTokens = `
  delete from social.refresh_tokens where token_hash = any(array(
    select token_hash from social.refresh_tokens where coalesce(used_at, created_at) < now() - make_interval(secs => $1::int)
    order by coalesce(used_at, created_at) ${atMostAChunk}))`

const oldIdempotencyKeys = `
  delete from social.idempotency_keys where (caller, key) in (
    select caller, key from social.idempotency_keys where created_at < now() - interval '${KEPT.idempotencyKeys}' order by created_at ${atMostAChunk})`

const oldSends = `
  delete from notify.sends where id = any(array(
    select id from notify.sends where created_at < now() - interval '${KEPT.sends}' order by created_at limit ${ROWS_PER_CHUNK}))`

const oldUnreached = `
  delete from notify.unreached where (recipient_id, source_id, retracts) in (
    select recipient_id, source_id, retracts from notify.unreached
    where created_at < now() - interval '${KEPT.unreached}' order by created_at limit ${ROWS_PER_CHUNK})`

const oldEndedExternalIds = `
  delete from social.ended_external_ids where hash = any(array(
    select hash from social.ended_external_ids where ended_at < now() - interval '${KEPT.endedExternalIds}' order by ended_at ${atMostAChunk}))`

const oldNamedLocks = `
  delete from notify.named_locks where name = any(array(
    select name from notify.named_locks where used_at < now() - interval '${KEPT.namedLocks}' order by used_at ${atMostAChunk}))`

const pastRateLimits = `
  delete from social.rate_limits where key = any(array(
    select key from social.rate_limits where expire < 1000 * extract(epoch from now())::bigint order by expire ${atMostAChunk}))`

const finishedFanOuts = `
  delete from notify.fan_outs where id = any(array(
    select id from notify.fan_outs where finished_at < now() - interval '${KEPT.fanOuts}' order by finished_at ${atMostAChunk}))`

const endedAudiences = `
  delete from notify.broadcast_audience where (broadcast_id, recipient_id) in (
    select a.broadcast_id, a.recipient_id from notify.broadcasts b
    cross join lateral (select * from notify.broadcast_audience a where a.broadcast_id = b.id limit ${ROWS_PER_CHUNK}) a
    where b.finished_at is not null and not exists (
      select from notify.fan_outs f where f.kind = 'broadcast' and f.object_id = b.id and f.finished_at is null)
    limit ${ROWS_PER_CHUNK})`

/**
 * Adds their decisions to those of the chunks, so that the progress remains what it was. A deleted user is no recipient any more; who
 * has an inbox and no decision was a dead letter that has been removed.
 */
const oldLate = `
  with late as (
    delete from notify.broadcast_late where (broadcast_id, recipient_id) in (
      select l.broadcast_id, l.recipient_id from notify.broadcasts b
      cross join lateral (
        select * from notify.broadcast_late l
        where l.broadcast_id = b.id and (select p.event_id from notify.pending p where p.event_id = l.event_id and p.consumer = 'notifications') is null
        limit ${ROWS_PER_CHUNK}) l
      where b.finished_at < now() - interval '${KEPT.broadcastLate}' limit ${ROWS_PER_CHUNK})
    returning broadcast_id, recipient_id
  ), counted as (
    select t.broadcast_id, ${decidedLate}, count(*) filter (where s.user_id is null and i.user_id is not null)::int as failed,
      count(*) filter (where s.user_id is null and i.user_id is null)::int as deleted
    from late t left join notify.sources s on s.user_id = t.recipient_id and s.source_id = 'broadcast:' || t.broadcast_id
    left join notify.inbox i on i.user_id = t.recipient_id
    group by t.broadcast_id
  ), added as (
    update notify.broadcasts b set stored = b.stored + c.stored, filtered = b.filtered + c.filtered,
      suppressed = b.suppressed + c.suppressed, failed = b.failed + c.failed, done = b.done - c.deleted
    from counted c where b.id = c.broadcast_id
  )
  select from late`

const failedJobs = `
  select graphile_worker.complete_jobs(array_agg(id)) from graphile_worker.jobs
  where attempts >= max_attempts and locked_at is null and updated_at < now() - interval '${KEPT.failedJobs}'
  having count(*) > 0`

async function rowsOf(pool: pg.Pool, statement: string, values: unknown[] = []): Promise<number> {
  return (await pool.query(statement, values)).rowCount ?? 0
}
