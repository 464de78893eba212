import type pg from 'pg'
import { inTransaction } from '../db/transaction.ts'
import { logIsOpen } from '../delivery-log/append.ts'

export type ChannelName = 'email' | 'webPush'

/** A row of notify.deliveries that this process has taken to send. */
export type Delivery = {
  userId: string
  /** 0: the mail that asks whether the address is the user's. */
  notificationId: string
  channel: ChannelName
  target: string
  grownModseq: number
  sendId: string
  attempts: number
}

/** What became of a delivery. Only `retry` and `deferred` leave it due. */
export type Outcome =
  | { state: 'sent' }
  | { state: 'failed' | 'bounced'; error: string }
  | { state: 'skipped' | 'cancelled'; reason: string }
  | { state: 'deferred'; reason: string; until: Date }
  /** `counts`: false when nothing was tried, as while a circuit is open. */
  | { state: 'retry'; error: string; afterSeconds: number; counts: boolean }

/** Deliveries taken at once. */
export const TAKEN_AT_ONCE = 200
/** A worker that has not said what became of a delivery within this time is taken for dead. */
export const LEASE_SECONDS = 180

/**
 * Takes deliveries that are due: until the lease ends nobody else does. One process at a time takes mails, so that the rows
 * of one mail are never parted: all that waits for a user goes into the next mail, and is tried again in the same one.
 */
export function takeDeliveries(pool: pg.Pool, channel: ChannelName, leaseSeconds: number): Promise<Delivery[]> {
  return inTransaction(pool, async (client) => {
    if (channel === 'email') await client.query(`select pg_advisory_xact_lock(hashtext('ravenpost mails'))`)
    const { rows } = await client.query<Delivery>({
      name: `take_${channel}`,
      text: channel === 'email' ? takeMails : takePushes,
      values: [TAKEN_AT_ONCE, leaseSeconds],
    })
    return rows
  })
}

const due = (channel: ChannelName) => `
  due as materialized (
    select user_id, notification_id, target, send_id from notify.deliveries
    where channel = '${channel}' and due_at <= now() order by due_at limit $1 for update skip locked
  )`

const lease = (channel: ChannelName, sendId: string) => `
  update notify.deliveries d
  set attempts = d.attempts + 1, state = 'queued', due_at = now() + make_interval(secs => $2), updated_at = now(), send_id = coalesce(d.send_id, ${sendId})
  from taken t
  where d.user_id = t.user_id and d.notification_id = t.notification_id and d.channel = '${channel}' and d.target = t.target
  returning d.user_id as "userId", d.notification_id as "notificationId", d.channel, d.target, d.grown_modseq::float8 as "grownModseq",
    d.send_id as "sendId", d.attempts`

/** After a restore the same numbers may come again. */
const epoch = '(select epoch from notify.installation)'

const takePushes = `
  with ${due('webPush')}, taken as (select * from due)
  ${lease('webPush', `concat_ws('.', ${epoch}, d.user_id, d.notification_id, d.grown_modseq, d.target)`)}`

const takeMails = `
  with ${due('email')},
  beside as materialized (
    select d.user_id, d.notification_id, d.target, d.send_id from notify.deliveries d
    where d.channel = 'email' and d.user_id = any(array(select user_id from due where notification_id <> 0)) and d.notification_id <> 0 and d.due_at is not null
      and (d.send_id is null and d.state = 'queued' or d.send_id in (select send_id from due))
    for update
  ),
  taken as (
    select t.*, max(d.grown_modseq) filter (where d.send_id is null) over (partition by d.user_id, d.notification_id = 0) as newest
    from (select * from due union select * from beside) t
    join notify.deliveries d on d.user_id = t.user_id and d.notification_id = t.notification_id and d.channel = 'email' and d.target = t.target
  )
  ${lease('email', `concat_ws('.', ${epoch}, d.user_id, t.newest)`)}`

/** Writes down what became of deliveries. One that grew meanwhile has another send_id, or none: it is queued again and left alone. */
export async function recordOutcomes(
  pool: pg.Pool,
  results: { delivery: Delivery; outcome: Outcome }[],
): Promise<void> {
  if (results.length === 0) return
  await pool.query({
    name: 'record_outcomes',
    text: recordStatement,
    values: [
      results.map(({ delivery }) => delivery.userId),
      results.map(({ delivery }) => delivery.notificationId),
      results.map(({ delivery }) => delivery.channel),
      results.map(({ delivery }) => delivery.target),
      results.map(({ delivery }) => delivery.sendId),
      results.map(({ outcome }) => (outcome.state === 'retry' ? 'queued' : outcome.state)),
      results.map(({ outcome }) => ('reason' in outcome ? outcome.reason : null)),
      results.map(({ outcome }) => ('error' in outcome ? outcome.error.slice(0, 500) : null)),
      results.map(({ outcome }) => (outcome.state === 'retry' ? outcome.afterSeconds : null)),
      results.map(({ outcome }) => (outcome.state === 'deferred' ? outcome.until : null)),
      results.map(({ outcome }) => ('counts' in outcome && !outcome.counts) || outcome.state === 'deferred'),
      results.map(({ delivery }) => delivery.attempts),
    ],
  })
}

/**
 * What is deferred was not tried under its send_id, and may go out together with others later. A process whose lease has
 * ended reports only that it did send: another process has counted one more attempt, and decides about the rest.
 */
const recordStatement = `
  with recorded as (
  update notify.deliveries d
  set state = w.state, reason = w.reason, last_error = w.error, updated_at = now(), due_at = coalesce(w.until, now() + make_interval(secs => w.again)),
    attempts = d.attempts - w.untried::int, send_id = case when w.until is null then d.send_id end
  from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::float8[], $10::timestamptz[], $11::boolean[], $12::int[])
    w (u, n, c, target, send_id, state, reason, error, again, until, untried, attempts)
  where d.user_id = w.u and d.notification_id = w.n and d.channel = w.c and d.target = w.target and d.send_id = w.send_id
    and d.user_id = any($1::bigint[]) and d.due_at is not null
    and (w.state = 'sent' or d.attempts = w.attempts)
  returning d.user_id, nullif(d.notification_id, 0) as notification_id, d.channel, d.state, coalesce(d.reason, d.last_error) as reason
  )
  insert into notify.delivery_log (recipient_id, notification_id, event, channel, reason)
  select user_id, notification_id, case when state = 'sent' then 'sent' when state in ('failed', 'bounced') then 'failed' else 'filtered' end, channel, reason
  from recorded where state in ('sent', 'failed', 'bounced', 'skipped', 'cancelled') and ${logIsOpen}`
