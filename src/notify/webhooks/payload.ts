import { loadShown, type NotificationRow, notificationColumns, type Reader, toNotification } from '../inbox/view.ts'
import type { Taken } from './take.ts'

/**
 * The bodies of these messages, by their id: `{type, timestamp, data}` of Standard Webhooks. Notifications are shown as they are now; one
 * that is gone is null.
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
           from unnest($1::bigint[], $2::bigint[], $3::bigint[]) w (delivery_id, user_id, notification_id)
           join notify.notifications n on n.user_id = w.user_id and n.id = w.notification_id
           join notify.inbox i on i.user_id = n.user_id
           where n.user_id = any($2::bigint[])`,
    values: [showing.map((m) => m.id), showing.map((m) => m.userId), showing.map((m) => m.notificationId)],
  })
  const shown = await loadShown(reader, rows)
  return new Map(rows.map((row) => [row.deliveryId, toNotification(row, shown, row.seenModseq)]))
}

/** The error of a mail or push, which is kept with it. */
async function readFailures({ pool }: Reader, messages: Taken[]): Promise<Map<string, { error: string | null }>> {
  const failed = messages.filter(({ event }) => event === 'delivery.failed')
  if (failed.length === 0) return new Map()
  const { rows } = await pool.query<{ id: string; error: string | null }>({
    name: 'failures_of_webhooks',
    text: `select w.id, d.last_error as error
           from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[]) w (id, user_id, notification_id, channel)
           left join lateral (
             select d.last_error from notify.deliveries d
             where d.user_id = w.user_id and d.notification_id = w.notification_id and d.channel = w.channel and d.state in ('failed', 'bounced')
             order by d.updated_at desc limit 1
           ) d on true`,
    values: [
      failed.map((m) => m.id),
      failed.map((m) => m.userId),
      failed.map((m) => m.notificationId ?? '0'),
      failed.map((m) => m.data.channel),
    ],
  })
  return new Map(rows.map(({ id, error }) => [id, { error }]))
}

async function readDeadLetters({ pool }: Reader, messages: Taken[]): Promise<Map<string, object>> {
  const dead = messages.filter(({ event }) => event === 'dead_letter.created')
  if (dead.length === 0) return new Map()
  const { rows } = await pool.query<{ id: string }>({
    name: 'dead_letters_of_webhooks',
    text: `select w.id, d.consumer, d.event_id as "eventId", d.source_id as "sourceId", d.type, d.attempts, d.last_error as error
           from unnest($1::bigint[], $2::bigint[]) w (id, dead_letter_id) join ops.dead_letters d on d.id = w.dead_letter_id`,
    values: [dead.map((m) => m.id), dead.map((m) => m.data.deadLetterId)],
  })
  return new Map(rows.map(({ id, ...letter }) => [id, letter]))
}
