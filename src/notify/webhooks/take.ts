import type pg from 'pg'
import { sqlBackoff, sqlJitter } from '../../base/failure.ts'
import { inTransaction } from '../../db/transaction.ts'
import { messageId } from './deliveries.ts'

/** A message that this process took to send. */
export type Taken = {
  id: string
  messageId: string
  event: string
  userId: string | null
  notificationId: string | null
  data: Record<string, unknown>
  createdAt: Date
  attempts: number
}
/** An endpoint and the messages to send to it now. `secrets`: the current one first. */
export type Batch = { endpoint: string; secrets: string[]; messages: Taken[] }

/** The result of an attempt. `status` null: no response. */
export type Result = { status: number | null; error: string | null; afterSeconds: number }

/** Concurrent messages to an endpoint, from all processes together; one while it fails. */
export const AT_ONCE = 5
/** Duration of a lease. After it, a worker without a result counts as dead. Longer than the timeout of a request. */
const LEASE_SECONDS = 60
/** Consecutive failures before the endpoint is paused. */
const PAUSE_AFTER = 5
const LONGEST_PAUSE_SECONDS = 600
const FIRST_RETRY_SECONDS = 5
const LAST_RETRY_SECONDS = 6 * 3600
/** SQL: time for which a message is retried, and for which an endpoint may accept nothing before it is disabled. */
const GIVE_UP = `interval '3 days'`

/**
 * Endpoints with due messages. One index lookup per endpoint: a plain `exists` may become a join that reads a whole
 * backlog.
 */
export const findDueEndpoints = `
  select w.id from notify.webhooks w
  cross join lateral (
    select from notify.webhook_deliveries d where d.webhook_id = w.id and d.due_at <= now() order by d.due_at limit 1
  ) due
  where w.disabled_at is null and coalesce(w.paused_until, '-infinity') <= now()`

/** Takes the next messages of an endpoint; null when nothing is due now. */
export function takeMessages(pool: pg.Pool, webhookId: string): Promise<Batch | null> {
  return inTransaction(pool, async (client) => {
    const { rows } = await client.query<{ endpoint: string; free: number; secrets: string[] }>({
      name: 'lock_webhook',
      text: `select w.endpoint,
               case when w.failures >= ${PAUSE_AFTER} then 1 else ${AT_ONCE} end - (
                 select count(*)::int from notify.webhook_deliveries d where d.webhook_id = w.id and d.state = 'sending' and d.due_at > now()) as free,
               array(select s.secret from notify.webhook_secrets s
                     where s.webhook_id = w.id and (s.expires_at is null or s.expires_at > now()) order by s.created_at desc) as secrets
             from notify.webhooks w
             where w.id = $1 and w.disabled_at is null and coalesce(w.paused_until, '-infinity') <= now() for no key update skip locked`,
      values: [webhookId],
    })
    const webhook = rows[0]
    if (!webhook || webhook.free <= 0) return null
    const { rows: messages } = await client.query<Taken>({
      name: 'take_webhook_deliveries',
      text: `with due as (
               select id from notify.webhook_deliveries
               where webhook_id = $1 and due_at <= now() order by due_at, id limit $2::int for update skip locked
             )
             update notify.webhook_deliveries d
             set state = 'sending', attempts = d.attempts + 1, tried_at = coalesce(d.tried_at, now()), updated_at = now(),
               due_at = now() + interval '${LEASE_SECONDS} seconds'
             from due where d.id = due.id
             returning d.id, ${messageId('d')} as "messageId", d.event, d.recipient_id as "userId", d.notification_id as "notificationId", d.data,
               d.created_at as "createdAt", d.attempts`,
      values: [webhookId, webhook.free],
    })
    return messages.length > 0 ? { endpoint: webhook.endpoint, secrets: webhook.secrets, messages } : null
  })
}

/**
 * SQL: the message is still this process's own. A process whose lease ended reports only successes, because another one
 * has taken the message.
 */
const mine = `d.id = $2 and d.state = 'sending' and d.attempts = $3`

export async function recordSent(pool: pg.Pool, webhookId: string, { id }: Taken, status: number): Promise<void> {
  await pool.query({
    name: 'webhook_sent',
    text: `with sent as (
             update notify.webhook_deliveries set state = 'sent', due_at = null, status = $3, last_error = null, updated_at = now() where id = $2
           )
           update notify.webhooks set failures = 0, failing_since = null, paused_until = null where id = $1 and failing_since is not null`,
    values: [webhookId, id, status],
  })
}

/** SQL for the seconds of a pause after this failure; 0: none. */
const ownPause = `case when w.failures + 1 >= ${PAUSE_AFTER}
  then ${sqlBackoff({ first: FIRST_RETRY_SECONDS, longest: LONGEST_PAUSE_SECONDS }, `w.failures + 1 - ${PAUSE_AFTER}`)} else 0 end`

/** SQL for the seconds until the message's next attempt. */
const retryDelay = sqlJitter(
  sqlBackoff({ first: FIRST_RETRY_SECONDS, longest: LAST_RETRY_SECONDS, factor: 4 }, 'd.attempts - 1'),
)

/**
 * Postpones the message, or gives it up after three days. Pauses the endpoint after consecutive failures or on its
 * request. Disables an endpoint that is gone or has accepted nothing for three days, and returns the reason.
 */
export function recordFailure(
  pool: pg.Pool,
  webhookId: string,
  { id, attempts }: Taken,
  { status, error, afterSeconds }: Result,
): Promise<'gone' | 'failing' | null> {
  return inTransaction(pool, async (client) => {
    const { rows } = await client.query<{ because: 'gone' | 'failing' | null }>({
      name: 'webhook_failed',
      text: `update notify.webhooks w
             set failures = w.failures + 1, failing_since = coalesce(w.failing_since, now()), last_error = $2,
               paused_until = greatest(w.paused_until, now() + make_interval(secs => nullif(greatest($4, ${ownPause}), 0))),
               disabled_at = case when old.because is not null then now() else w.disabled_at end,
               disabled_because = coalesce(old.because, w.disabled_because)
             from (
               select o.id, case when o.disabled_at is not null then null when $3 = 410 then 'gone'
                            when o.failing_since <= now() - ${GIVE_UP} then 'failing' end as because
               from notify.webhooks o where o.id = $1 for update
             ) old
             where w.id = old.id
             returning old.because`,
      values: [webhookId, error, status, afterSeconds],
    })
    const [{ because } = { because: null }] = rows
    await client.query({
      name: 'webhook_delivery_failed',
      text: `update notify.webhook_deliveries d
             set status = $4, last_error = $5, updated_at = now(),
               state = case when given_up then 'failed' else 'queued' end,
               due_at = case when not given_up then now() + make_interval(secs => greatest($6,
                 ${retryDelay})) end
             from (
               select f.id, coalesce($4::int, 0) = 410 or greatest(f.tried_at, (select w.enabled_at from notify.webhooks w where w.id = $1)) <= now() - ${GIVE_UP} as given_up
               from notify.webhook_deliveries f where f.id = $2
             ) f
             where d.id = f.id and ${mine}`,
      values: [webhookId, id, attempts, status, error, afterSeconds],
    })
    if (because) await notifyAdmins(client, webhookId, because)
    return because
  })
}

const WHY = { gone: 'It answered 410 Gone.', failing: 'It accepted nothing for three days.' }

/** Admins beyond the limit of one send, ten thousand, are not notified. */
async function notifyAdmins(client: pg.ClientBase, webhookId: string, because: 'gone' | 'failing'): Promise<void> {
  await client.query(
    `select notify.append_send('send:webhook:' || w.id || ':' || extract(epoch from w.disabled_at), array(
         select u.id from social.users u where u.role = 'admin' and u.deleted_at is null order by u.id limit 1000),
       'system', 'A webhook was disabled', $2 || ' ' || coalesce(w.description || ', ', '') || substring(w.endpoint from '^https?://[^/?#]+'),
       null, null, 'webhook', w.id::text, null, jsonb_build_object('webhookId', w.id::text, 'because', $3::text), 'high', 'warning', null, null)
     from notify.webhooks w where w.id = $1`,
    [webhookId, WHY[because], because],
  )
}
