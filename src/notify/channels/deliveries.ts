import type pg from 'pg'
import { columns } from '../../db/columns.ts'
import { inTransaction } from '../../db/transaction.ts'
import { logIsOpen } from '../delivery-log/append.ts'
import { queueRows } from '../webhooks/queue.ts'

export type ChannelName = 'email' | 'webPush'

/** A row of notify.deliveries that this process has taken to send. */
export type Delivery = {
  userId: string
  /** The notification; 0 for a mail about the account, which the target identifies (account-mails.ts). */
  notificationId: string
  channel: ChannelName
  target: string
  grownModseq: number
  sendId: string
  attempts: number
}

/** Result of a delivery. Only `retry` and `deferred` keep it due. */
export type Outcome =
  | { state: 'sent' }
  | { state: 'failed' | 'bounced'; error: string }
  | { state: 'skipped' | 'cancelled'; reason: string }
  | { state: 'deferred'; reason: string; until: Date }
  /** `counts`: false when nothing was tried, for example while a circuit is open. */
  | { state: 'retry'; error: string; afterSeconds: number; counts: boolean }

/** A worker that reports no outcome within this time counts as dead. */
export const LEASE_SECONDS = 180

/**
 * Due rows read in one transaction: the longest due, plus a fifth as many of the most recently due. Otherwise the
 * backlog of one busy user, which is postponed bit by bit, would hide everyone else.
 */
const LOOKED_AT: Record<ChannelName, number> = { email: 50, webPush: 500 }
/** Maximum number of further notifications in a mail, besides those that are due. */
const IN_ONE_MAIL = 1000
/** Delay when another transaction holds a row of a mail that is retried. */
const HELD_SECONDS = 2

/** One due message: a Web Push of one notification, or a mail with everything that waits for a user. */
export type Message = {
  userId: string
  sendId: string
  critical: boolean
  endpoint: string | null
  deliveries: Delivery[]
}

/** `seconds`: 0 takes the message, any other number postpones it by this time and stores `error`. */
export type Wait = { seconds: number; error?: string }

/** `more`: other messages may be due. `held`: another session holds the lock for taking mails. */
export type Taken = { messages: Message[]; more: boolean; held?: boolean }

/**
 * Takes due messages, or postpones them, as `waitOf` decides. Nobody else sends a taken message until its lease ends.
 * Only one process at a time takes mails, so the rows of one mail stay together. The next mail contains everything that
 * waits for the user. A retry repeats the same mail.
 */
export function takeDeliveries(
  pool: pg.Pool,
  channel: ChannelName,
  leaseSeconds: number,
  waitOf: (message: Message) => Wait,
): Promise<Taken> {
  return inTransaction(pool, async (client) => {
    if (channel === 'email' && !(await holdMails(client))) return { messages: [], more: false, held: true }
    const due = await lockDue(client, channel)
    const messages = channel === 'email' ? await mailsOf(client, due) : due.map(pushOf)
    const waits = messages.map((message) => ({
      message,
      ...(message.isHeld ? { seconds: HELD_SECONDS } : waitOf(message)),
    }))
    await leaseOrPutOff(client, channel, leaseSeconds, waits)
    const taken = waits.filter(({ seconds }) => seconds === 0).map(({ message }) => message)
    return { messages: taken, more: due.length >= LOOKED_AT[channel] }
  })
}

/** A row as read under its lock. */
type Due = Omit<Delivery, 'sendId'> & {
  sendId: string | null
  critical: boolean
  endpoint: string | null
  epoch: string
}

type Found = Message & { isHeld: boolean }

async function holdMails(client: pg.ClientBase): Promise<boolean> {
  const { rowCount } = await client.query(`select from notify.maintenance where what = 'mails' for update skip locked`)
  return rowCount === 1
}

const deliveryColumns = `user_id as "userId", notification_id as "notificationId", channel, target, grown_modseq::float8 as "grownModseq",
  send_id as "sendId", attempts, critical`
/** Part of the message id, because the same numbers may recur after a restore. */
const epoch = '(select epoch::text from notify.installation) as epoch'

async function lockDue(client: pg.ClientBase, channel: ChannelName): Promise<Due[]> {
  const { rows } = await client.query<Due>({
    name: `due_${channel}`,
    text: `
      with oldest as materialized (
        select * from notify.deliveries
        where channel = '${channel}' and due_at <= now() order by due_at limit $1::int for update skip locked
      ),
      newest as materialized (
        select * from notify.deliveries
        where channel = '${channel}' and due_at <= now() order by due_at desc limit $1::int / 5 for update skip locked
      ),
      due as (select * from oldest union select * from newest)
      select ${deliveryColumns}, ${epoch},
        (select s.endpoint from notify.push_subscriptions s where s.user_id = due.user_id and s.id = due.target) as endpoint
      from due order by due_at`,
    values: [LOOKED_AT[channel]],
  })
  return rows
}

function pushOf(due: Due): Found {
  const { userId, notificationId, grownModseq, target, endpoint, critical } = due
  const sendId = due.sendId ?? [due.epoch, userId, notificationId, grownModseq, target].join('.')
  return { userId, sendId, critical, endpoint, deliveries: [{ ...due, sendId }], isHeld: false }
}

/**
 * A retry keeps the rows of its mail. Everything else that waits for the user goes into a new mail. A mail about the
 * account is always separate.
 */
async function mailsOf(client: pg.ClientBase, due: Due[]): Promise<Found[]> {
  const isOfAccount = ({ notificationId }: Due) => notificationId === '0'
  const users = [...new Set(due.filter((row) => !isOfAccount(row)).map(({ userId }) => userId))]
  const sendIds = [...new Set(due.flatMap(({ sendId }) => sendId ?? []))]
  const others = users.length === 0 ? [] : await lockOthers(client, users, sendIds)
  const rows = new Map([...due, ...others].map((row) => [`${row.userId} ${row.notificationId} ${row.target}`, row]))
  const expected = sendIds.length === 0 ? new Map<string, number>() : await countRows(client, users, sendIds)
  const mails = Map.groupBy(rows.values(), (row) => row.sendId ?? `${row.userId} ${isOfAccount(row) ? row.target : ''}`)
  return [...mails.values()].flatMap((rows) => {
    const [first] = rows
    if (!first) return []
    const sendId = first.sendId ?? `${first.epoch}.${first.userId}.${Math.max(...rows.map((row) => row.grownModseq))}`
    const isHeld = first.sendId !== null && rows.length < (expected.get(sendId) ?? 0)
    const deliveries = rows.map((row) => ({ ...row, sendId }))
    return [
      { userId: first.userId, sendId, critical: rows.some((row) => row.critical), endpoint: null, deliveries, isHeld },
    ]
  })
}

/**
 * Locks further waiting rows of the same users, which go into the same mails. Skips rows locked by another transaction:
 * they go into a later mail.
 */
async function lockOthers(client: pg.ClientBase, users: string[], sendIds: string[]): Promise<Due[]> {
  const { rows } = await client.query<Due>({
    name: 'others_of_mails',
    text: `
      with waiting as materialized (
        select w.* from unnest($1::bigint[]) u
        cross join lateral (
          select * from notify.deliveries d
          where d.channel = 'email' and d.user_id = u and d.notification_id <> 0 and d.send_id is null
            and d.state in ('queued', 'deferred') and (d.state = 'queued' or d.due_at <= now())
          order by d.due_at limit ${IN_ONE_MAIL} for update skip locked
        ) w
      ),
      tried as materialized (
        select * from notify.deliveries d
        where d.channel = 'email' and d.user_id = any($1::bigint[]) and d.state in ('queued', 'deferred') and d.send_id = any($2::text[])
        for update skip locked
      )
      select ${deliveryColumns}, ${epoch}, null as endpoint from (select * from waiting union all select * from tried) others`,
    values: [users, sendIds],
  })
  return rows
}

/**
 * Rows per mail. A row that grew earlier has left its mail. A row that grows now is locked, and stays in its mail until
 * the commit.
 */
async function countRows(client: pg.ClientBase, users: string[], sendIds: string[]): Promise<Map<string, number>> {
  const { rows } = await client.query<{ sendId: string; count: number }>({
    name: 'rows_of_mails',
    text: `select send_id as "sendId", count(*)::int as count from notify.deliveries
           where channel = 'email' and user_id = any($1::bigint[]) and state in ('queued', 'deferred') and send_id = any($2::text[]) group by 1`,
    values: [users, sendIds],
  })
  return new Map(rows.map(({ sendId, count }) => [sendId, count]))
}

async function leaseOrPutOff(
  client: pg.ClientBase,
  channel: ChannelName,
  leaseSeconds: number,
  waits: (Wait & { message: Message })[],
): Promise<void> {
  const rows = waits.flatMap(({ message, seconds, error }) =>
    message.deliveries.map((delivery) => ({ delivery, error, later: seconds > 0 ? seconds : null })),
  )
  if (rows.length === 0) return
  await client.query({
    name: 'lease_or_put_off',
    text: leaseStatement,
    values: [...taken.values(rows), channel, leaseSeconds],
  })
  for (const { delivery, later } of rows) if (later === null) delivery.attempts += 1
}

/** `later`: seconds until the row may be taken again; null when it is taken now. */
type Waiting = { delivery: Delivery; later: number | null; error: string | undefined }

const taken = columns<Waiting>({
  user_id: ['bigint', ({ delivery }) => delivery.userId],
  notification_id: ['bigint', ({ delivery }) => delivery.notificationId],
  target: ['text', ({ delivery }) => delivery.target],
  send_id: ['text', ({ delivery }) => delivery.sendId],
  later: ['float8', ({ later }) => later],
  error: ['text', ({ error }) => error ?? null],
})

const leaseStatement = `
  update notify.deliveries d
  set attempts = d.attempts + (w.later is null)::int, state = case when w.later is null then 'queued' else d.state end,
    send_id = case when w.later is null then w.send_id else d.send_id end, due_at = now() + make_interval(secs => coalesce(w.later, $8::float8)),
    last_error = coalesce(w.error, d.last_error), updated_at = case when w.later is null then now() else d.updated_at end
  from ${taken.from}
  where d.user_id = w.user_id and d.notification_id = w.notification_id and d.channel = $7 and d.target = w.target and d.user_id = any($1::bigint[])`

/**
 * Stores the outcomes of deliveries. A delivery that grew meanwhile has another send_id, or none: it is queued again
 * and stays unchanged.
 */
export async function recordOutcomes(pool: pg.Pool, results: Result[]): Promise<void> {
  if (results.length === 0) return
  await pool.query({
    name: 'record_outcomes',
    text: recordStatement,
    values: recorded.values(results),
  })
}

type Result = { delivery: Delivery; outcome: Outcome }

const recorded = columns<Result>({
  user_id: ['bigint', ({ delivery }) => delivery.userId],
  notification_id: ['bigint', ({ delivery }) => delivery.notificationId],
  channel: ['text', ({ delivery }) => delivery.channel],
  target: ['text', ({ delivery }) => delivery.target],
  send_id: ['text', ({ delivery }) => delivery.sendId],
  state: ['text', ({ outcome }) => (outcome.state === 'retry' ? 'queued' : outcome.state)],
  reason: ['text', ({ outcome }) => ('reason' in outcome ? outcome.reason : null)],
  error: ['text', ({ outcome }) => ('error' in outcome ? outcome.error.slice(0, 500) : null)],
  again: ['float8', ({ outcome }) => (outcome.state === 'retry' ? outcome.afterSeconds : null)],
  until: ['timestamptz', ({ outcome }) => (outcome.state === 'deferred' ? outcome.until : null)],
  untried: ['boolean', ({ outcome }) => ('counts' in outcome && !outcome.counts) || outcome.state === 'deferred'],
  attempts: ['int', ({ delivery }) => delivery.attempts],
})

/**
 * A deferred row was not tried under its send_id, so other rows may join it later. A process whose lease has ended
 * reports only success: another process has counted a further attempt and decides the rest.
 * An expression tests for unfinished rows. With plain conditions and statistics older than a backlog, the planner
 * expects few rows and reads all.
 */
const recordStatement = `
  with recorded as (
  update notify.deliveries d
  set state = w.state, reason = w.reason, last_error = w.error, updated_at = now(), due_at = coalesce(w.until, now() + make_interval(secs => w.again)),
    attempts = d.attempts - w.untried::int, send_id = case when w.until is null then d.send_id end
  from ${recorded.from}
  where d.user_id = w.user_id and d.notification_id = w.notification_id and d.channel = w.channel and d.target = w.target and d.send_id = w.send_id
    and d.user_id = any($1::bigint[]) and coalesce(d.due_at, 'infinity') < 'infinity'
    and (w.state = 'sent' or d.attempts = w.attempts)
  returning d.user_id, nullif(d.notification_id, 0) as notification_id, d.channel, d.state, coalesce(d.reason, d.last_error) as reason
  ),
  hooked as (
    ${queueRows('delivery.failed', {
      userId: 'r.user_id',
      notificationId: 'r.notification_id',
      data: `jsonb_build_object('channel', r.channel, 'state', r.state)`,
      from: `(select * from recorded where state in ('failed', 'bounced')) r`,
    })}
  )
  insert into notify.delivery_log (recipient_id, notification_id, event, channel, reason)
  select user_id, notification_id, case when state = 'sent' then 'sent' when state in ('failed', 'bounced') then 'failed' else 'filtered' end, channel, reason
  from recorded where state in ('sent', 'failed', 'bounced', 'skipped', 'cancelled') and ${logIsOpen}`
