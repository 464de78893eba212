import { columns } from '../../db/columns.ts'
import { inboxOf } from '../inbox/lock.ts'
import { loadShown, type NotificationRow, notificationColumns, type Reader, toNotification } from '../inbox/view.ts'
import type { Taken } from './take.ts'

/**
 * The bodies of these messages, by id: `{type, timestamp, data}` of Standard Webhooks. Contains the current
 * notifications; a removed one is null.
 */
export async function bodiesOf(reader: Reader, messages: Taken[]): Promise<Map<string, string>> {
  const [externalIds, notifications, failures, deadLetters] = await Promise.all([
    readExternalIds(reader, messages),
    readNotifications(reader, messages),
    readFailures(reader, messages),
    readDeadLetters(reader, messages),
  ])
  return new Map(
    messages.map(({ id, event, userId, notificationId, data, createdAt }) => {
      const about = {
        ...(userId !== null && { userId, externalId: externalIds.get(userId) ?? null }),
        ...(notificationId !== null && { notificationId }),
        ...data,
        ...(SHOWS.includes(event) && { notification: notifications.get(id) ?? null }),
        ...failures.get(id),
        ...deadLetters.get(id),
      }
      return [id, JSON.stringify({ type: event, timestamp: createdAt.toISOString(), data: about })]
    }),
  )
}

const SHOWS = ['notification.created', 'notification.updated', 'notification.read']

async function readExternalIds({ pool }: Reader, messages: Taken[]): Promise<Map<string, string | null>> {
  const userIds = [...new Set(messages.flatMap(({ userId }) => userId ?? []))]
  if (userIds.length === 0) return new Map()
  const { rows } = await pool.query<{ id: string; externalId: string | null }>({
    name: 'external_ids_of_webhooks',
    text: `select id, external_id as "externalId" from social.users where id = any($1::bigint[])`,
    values: [userIds],
  })
  return new Map(rows.map(({ id, externalId }) => [id, externalId]))
}

type Row = NotificationRow & { deliveryId: string; seenModseq: number }

async function readNotifications(reader: Reader, messages: Taken[]) {
  const showing = messages.filter(({ event }) => SHOWS.includes(event))
  if (showing.length === 0) return new Map()
  const { rows } = await reader.pool.query<Row>({
    name: 'notifications_of_webhooks',
    text: `select w.delivery_id as "deliveryId", i.seen_modseq::float8 as "seenModseq", ${notificationColumns}
           from ${shown.from}
           join notify.notifications n on n.user_id = w.user_id and n.id = w.notification_id
           cross join ${inboxOf('n.user_id')}
           where n.user_id = any($2::bigint[])`,
    values: shown.values(showing),
  })
  const shownWith = await loadShown(reader, rows)
  return new Map(rows.map((row) => [row.deliveryId, toNotification(row, shownWith, row.seenModseq)]))
}

const shown = columns<Taken>({
  delivery_id: ['bigint', (message) => message.id],
  user_id: ['bigint', (message) => message.userId],
  notification_id: ['bigint', (message) => message.notificationId],
})

/** Reads the last errors of failed mails and pushes. */
async function readFailures({ pool }: Reader, messages: Taken[]): Promise<Map<string, { error: string | null }>> {
  const failed = messages.filter(({ event }) => event === 'delivery.failed')
  if (failed.length === 0) return new Map()
  const { rows } = await pool.query<{ id: string; error: string | null }>({
    name: 'failures_of_webhooks',
    text: `select w.id, d.last_error as error
           from ${failing.from}
           left join lateral (
             select d.last_error from notify.deliveries d
             where d.user_id = w.user_id and d.notification_id = w.notification_id and d.channel = w.channel and d.state in ('failed', 'bounced')
             order by d.updated_at desc limit 1
           ) d on true`,
    values: failing.values(failed),
  })
  return new Map(rows.map(({ id, error }) => [id, { error }]))
}

const failing = columns<Taken>({
  id: ['bigint', (message) => message.id],
  user_id: ['bigint', (message) => message.userId],
  notification_id: ['bigint', (message) => message.notificationId ?? '0'],
  channel: ['text', (message) => message.data.channel],
})

async function readDeadLetters({ pool }: Reader, messages: Taken[]): Promise<Map<string, object>> {
  const dead = messages.filter(({ event }) => event === 'dead_letter.created')
  if (dead.length === 0) return new Map()
  const { rows } = await pool.query<{ id: string }>({
    name: 'dead_letters_of_webhooks',
    text: `select w.id, d.consumer, d.event_id as "eventId", d.source_id as "sourceId", d.type, d.attempts, d.last_error as error
           from ${naming.from} join ops.dead_letters d on d.id = w.dead_letter_id`,
    values: naming.values(dead),
  })
  return new Map(rows.map(({ id, ...letter }) => [id, letter]))
}

const naming = columns<Taken>({
  id: ['bigint', (message) => message.id],
  dead_letter_id: ['bigint', (message) => message.data.deadLetterId],
})
