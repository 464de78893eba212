import type pg from 'pg'
import { build, run } from '../../db/kysely.ts'
import { inTransaction } from '../../db/transaction.ts'
import { fail } from '../../errors.ts'
import { TEST_EVENT } from './events.ts'

/** A message to an endpoint, for admins. */
export type WebhookDelivery = {
  id: string
  /** Value of the header webhook-id, the same in every attempt. */
  messageId: string
  event: string
  userId: string | null
  notificationId: string | null
  state: 'queued' | 'sending' | 'sent' | 'failed'
  attempts: number
  status: number | null
  lastError: string | null
  dueAt: string | null
  createdAt: string
  updatedAt: string
}

export const deliveryStates = ['queued', 'sending', 'sent', 'failed'] as const

type Row = Omit<WebhookDelivery, 'dueAt' | 'createdAt' | 'updatedAt'> & {
  dueAt: Date | null
  createdAt: Date
  updatedAt: Date
}

/** Message id of a row of notify.webhook_deliveries. Includes the time, because ids may repeat after a restore. */
export const messageId = (row: string) =>
  `'msg_' || ${row}.id || '_' || (extract(epoch from ${row}.created_at) * 1000000)::bigint`

const columns = `d.id, ${messageId('d')} as "messageId", d.event, d.recipient_id as "userId", d.notification_id as "notificationId", d.state,
  d.attempts, d.status, d.last_error as "lastError", d.due_at as "dueAt", d.created_at as "createdAt", d.updated_at as "updatedAt"`

function toDelivery(row: Row): WebhookDelivery {
  return {
    ...row,
    dueAt: row.dueAt?.toISOString() ?? null,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  }
}

/**
 * Lists messages newest first, older than `before`.
 * @throws {AppError} WEBHOOK_NOT_FOUND
 */
export async function listDeliveries(
  pool: pg.Pool,
  webhookId: string,
  before: string | null,
  limit: number,
): Promise<WebhookDelivery[]> {
  const { count } = await run(pool, build.selectFrom('notify.webhooks').select('id').where('id', '=', webhookId))
  if (count === 0) throw fail('WEBHOOK_NOT_FOUND')
  const { rows } = await pool.query<Row>(
    `select ${columns} from notify.webhook_deliveries d
     where d.webhook_id = $1 and d.id < coalesce($2::bigint, 9223372036854775807) order by d.id desc limit $3::int`,
    [webhookId, before, limit],
  )
  return rows.map(toDelivery)
}

/**
 * Queues a test message in the caller's transaction.
 * @throws {AppError} WEBHOOK_NOT_FOUND, WEBHOOK_DISABLED
 */
export async function queueTest(client: pg.ClientBase, webhookId: string): Promise<{ deliveryId: string }> {
  await endPause(client, webhookId)
  const { rows } = await client.query<{ id: string }>(
    'insert into notify.webhook_deliveries (webhook_id, event) values ($1, $2) returning id',
    [webhookId, TEST_EVENT],
  )
  return { deliveryId: rows[0]?.id ?? '' }
}

/**
 * Sends a message again with the same id, whatever its result was. A message in progress stays unchanged.
 * @throws {AppError} WEBHOOK_NOT_FOUND, WEBHOOK_DISABLED, WEBHOOK_DELIVERY_NOT_FOUND
 */
export async function retryDelivery(client: pg.ClientBase, webhookId: string, id: string): Promise<WebhookDelivery> {
  await endPause(client, webhookId)
  await client.query(
    `update notify.webhook_deliveries set ${anew} where id = $1 and webhook_id = $2 and state <> 'sending'`,
    [id, webhookId],
  )
  const { rows } = await client.query<Row>(
    `select ${columns} from notify.webhook_deliveries d where d.id = $1 and d.webhook_id = $2`,
    [id, webhookId],
  )
  if (!rows[0]) throw fail('WEBHOOK_DELIVERY_NOT_FOUND')
  return toDelivery(rows[0])
}

const anew = `state = 'queued', attempts = 0, tried_at = null, due_at = now(), updated_at = now()`

const ROWS_PER_CHUNK = 5000

/**
 * Retries all messages that failed since then, and waiting ones at once; returns their number. Works in chunks, so that
 * transactions stay short; after an interruption, call it again. `begun` runs in the first transaction.
 * @throws {AppError} WEBHOOK_NOT_FOUND, WEBHOOK_DISABLED
 */
export async function recoverDeliveries(
  pool: pg.Pool,
  webhookId: string,
  since: Date,
  begun: (trx: pg.ClientBase) => Promise<void>,
): Promise<number> {
  await inTransaction(pool, async (client) => {
    await endPause(client, webhookId)
    await begun(client)
  })
  let recovered = 0
  for (;;) {
    const { rowCount } = await pool.query(
      `update notify.webhook_deliveries set ${anew} where id = any(array(
         select id from notify.webhook_deliveries
         where webhook_id = $1 and created_at >= $2 and state in ('queued', 'failed') and attempts > 0
         limit ${ROWS_PER_CHUNK} for update skip locked))`,
      [webhookId, since],
    )
    recovered += rowCount ?? 0
    if ((rowCount ?? 0) < ROWS_PER_CHUNK) return recovered
  }
}

/** Ends a pause of the endpoint, because the caller expects it to work again. */
async function endPause(client: pg.ClientBase, webhookId: string): Promise<void> {
  const { rows } = await client.query<{ enabled: boolean }>(
    'update notify.webhooks set paused_until = null where id = $1 returning disabled_at is null as enabled',
    [webhookId],
  )
  if (!rows[0]) throw fail('WEBHOOK_NOT_FOUND')
  if (!rows[0].enabled) throw fail('WEBHOOK_DISABLED', 'Enable it first with PATCH {"enabled": true}')
}
