import { randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import type pg from 'pg'
import type { Queryable } from '../../db/client.ts'
import { build, run } from '../../db/kysely.ts'
import { fail } from '../../errors.ts'
import type { WebhookEvent } from './events.ts'

/** A webhook, for admins. */
export type Webhook = {
  id: string
  url: string
  events: WebhookEvent[]
  description: string | null
  enabled: boolean
  disabledAt: string | null
  disabledBecause: 'byHand' | 'gone' | 'failing' | null
  failingSince: string | null
  pausedUntil: string | null
  lastError: string | null
  createdAt: string
  updatedAt: string
}
export type WebhookChange = Partial<Pick<Webhook, 'url' | 'events' | 'description' | 'enabled'>>

const MOST_WEBHOOKS = 100
/** Time for which a former secret also signs. */
const OVERLAP_HOURS = 24
/** Number of former secrets that also sign. More would make a header that servers refuse. */
const FORMER_SECRETS = 4

type Times = 'disabledAt' | 'failingSince' | 'pausedUntil' | 'createdAt' | 'updatedAt'
type Row = Omit<Webhook, Times> & Record<Times, Date | null>

const columns = `id, endpoint as url, events, description, disabled_at is null as enabled, disabled_at as "disabledAt",
  disabled_because as "disabledBecause", failing_since as "failingSince",
  case when paused_until > now() then paused_until end as "pausedUntil", last_error as "lastError", created_at as "createdAt",
  updated_at as "updatedAt"`

function toWebhook(row: Row): Webhook {
  return {
    ...row,
    disabledAt: row.disabledAt?.toISOString() ?? null,
    failingSince: row.failingSince?.toISOString() ?? null,
    pausedUntil: row.pausedUntil?.toISOString() ?? null,
    createdAt: row.createdAt?.toISOString() ?? '',
    updatedAt: row.updatedAt?.toISOString() ?? '',
  }
}

/** Size of a secret. Standard Webhooks allows 24 to 64 bytes. */
const newSecret = () => `whsec_${randomBytes(32).toString('base64')}`

/**
 * Creates a webhook.
 * @throws {AppError} TOO_MANY_WEBHOOKS
 */
export async function createWebhook(
  client: pg.ClientBase,
  { url, events, description = null }: Pick<Webhook, 'url' | 'events'> & { description?: string | null | undefined },
): Promise<{ id: string; secret: string }> {
  const { rows } = await client.query<{ id: string }>(
    `insert into notify.webhooks (endpoint, events, description)
       select $1, $2, $3 where (select count(*) from notify.webhooks) < ${MOST_WEBHOOKS} returning id`,
    [url, events, description],
  )
  if (!rows[0]) throw fail('TOO_MANY_WEBHOOKS', `The limit is ${MOST_WEBHOOKS} webhooks; delete one first`)
  const secret = newSecret()
  await run(client, build.insertInto('notify.webhookSecrets').values({ webhookId: rows[0].id, secret }))
  return { id: rows[0].id, secret }
}

/** Lists webhooks newest first, older than `before`. */
export async function listWebhooks(pool: pg.Pool, before: string | null, limit: number): Promise<Webhook[]> {
  const { rows } = await pool.query<Row>(
    `select ${columns} from notify.webhooks where $1::bigint is null or id < $1::bigint order by id desc limit $2::int`,
    [before, limit],
  )
  return rows.map(toWebhook)
}

/**
 * Finds a webhook.
 * @throws {AppError} WEBHOOK_NOT_FOUND
 */
export async function getWebhook(pool: Queryable, id: string): Promise<Webhook> {
  const { rows } = await pool.query<Row>(`select ${columns} from notify.webhooks where id = $1`, [id])
  return found(rows)
}

/**
 * Changes the given properties. Enabling resets the failures and sends waiting messages.
 * @throws {AppError} WEBHOOK_NOT_FOUND
 */
export async function updateWebhook(client: pg.ClientBase, id: string, change: WebhookChange): Promise<Webhook> {
  const { url, events, description, enabled } = change
  const { rows } = await client.query<Row>(
    `update notify.webhooks w
     set endpoint = coalesce($2, w.endpoint), events = coalesce($3, w.events), description = case when $4 then $5 else w.description end,
       enabled_at = case when begins then now() else w.enabled_at end,
       disabled_at = case when $6 then null when $6 = false then coalesce(w.disabled_at, now()) else w.disabled_at end,
       disabled_because = case when $6 then null when $6 = false then coalesce(w.disabled_because, 'byHand') else w.disabled_because end,
       failures = case when begins then 0 else w.failures end,
       failing_since = case when begins then null else w.failing_since end,
       paused_until = case when begins or $2 is not null then null else w.paused_until end,
       updated_at = now()
     from (select id as it, coalesce($6::boolean, false) and disabled_at is not null as begins from notify.webhooks where id = $1 for update) now_or_never
     where w.id = it
     returning ${columns}`,
    [id, url ?? null, events ?? null, description !== undefined, description ?? null, enabled ?? null],
  )
  return found(rows)
}

/**
 * Deletes a webhook. Its queued messages are not sent; retention removes them.
 * @throws {AppError} WEBHOOK_NOT_FOUND
 */
export async function deleteWebhook(client: pg.ClientBase, id: string): Promise<void> {
  const { count } = await run(client, build.deleteFrom('notify.webhooks').where('id', '=', id))
  if (count === 0) throw fail('WEBHOOK_NOT_FOUND')
}

/**
 * Creates a new secret. Former secrets also sign for a day.
 * @throws {AppError} WEBHOOK_NOT_FOUND
 */
export async function rotateSecret(client: pg.ClientBase, id: string): Promise<string> {
  const { count } = await run(
    client,
    build.updateTable('notify.webhooks').set({ updatedAt: sql<Date>`now()` }).where('id', '=', id),
  )
  if (count === 0) throw fail('WEBHOOK_NOT_FOUND')
  await client.query(
    `update notify.webhook_secrets set expires_at = now() + interval '${OVERLAP_HOURS} hours' where webhook_id = $1 and expires_at is null`,
    [id],
  )
  await client.query(
    `delete from notify.webhook_secrets s where s.webhook_id = $1 and (s.expires_at <= now() or s.secret in (
         select f.secret from notify.webhook_secrets f where f.webhook_id = $1 order by f.created_at desc offset ${FORMER_SECRETS}))`,
    [id],
  )
  const secret = newSecret()
  await run(client, build.insertInto('notify.webhookSecrets').values({ webhookId: id, secret }))
  return secret
}

function found(rows: Row[]): Webhook {
  if (!rows[0]) throw fail('WEBHOOK_NOT_FOUND')
  return toWebhook(rows[0])
}
