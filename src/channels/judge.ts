import { decide, type Relation, type UserPreferences } from '../notifications/decide.ts'
import { preferencesOf, readMutedThreads, readRelations } from '../notifications/people.ts'
import type { TypeLookup } from '../notifications/types.ts'
import {
  loadShown,
  type Notification,
  type NotificationRow,
  notificationColumns,
  type Reader,
  toNotification,
} from '../notifications/view.ts'
import type { Delivery, Outcome } from './deliveries.ts'

/** What is to be sent: the notification as it is now. */
export type Sendable = { delivery: Delivery; notification: Notification }
export type Judged = { sendable: Sendable[]; settled: { delivery: Delivery; outcome: Outcome }[] }

/**
 * Decides again, at the moment of sending, from what the database says now: what was read, archived or removed meanwhile
 * is cancelled, what the user does not want any more is skipped, and quiet hours that began meanwhile defer.
 */
export async function judgeDeliveries(reader: Reader, deliveries: Delivery[]): Promise<Judged> {
  const rows = await readNotifications(reader, deliveries)
  const told = [...rows.values()].map((row) => ({
    recipientId: row.userId,
    actorId: row.actorCount === 1 ? (row.actorIds[0] ?? null) : null,
    threadKey: row.threadKey,
    retracts: false,
  }))
  const [shown, relations, mutedThreads, preferences] = await Promise.all([
    loadShown(reader, [...rows.values()]),
    readRelations(reader.pool, told),
    readMutedThreads(reader.pool, told),
    preferencesOf(reader.pool, [...new Set(deliveries.map((delivery) => delivery.userId))]),
  ])
  const judged: Judged = { sendable: [], settled: [] }
  for (const delivery of deliveries) {
    const row = rows.get(keyOf(delivery))
    const relation = row ? relationOf(row, relations, mutedThreads) : null
    const outcome = judge(delivery, row, relation, shown.types, preferences.get(delivery.userId))
    if (outcome) judged.settled.push({ delivery, outcome })
    else if (row) judged.sendable.push({ delivery, notification: toNotification(row, shown, 0) })
  }
  return judged
}

/** Null: to be sent. */
function judge(
  { channel }: Delivery,
  row: Row | undefined,
  relation: Relation | null,
  types: TypeLookup,
  said: UserPreferences | undefined,
): Outcome | null {
  if (!row) return { state: 'cancelled', reason: 'removed' }
  if (row.readAt) return { state: 'cancelled', reason: 'read' }
  if (row.archivedAt) return { state: 'cancelled', reason: 'archived' }
  const verdict = decide(types(row.type), channel, relation, said, row.priority === 'critical')
  if (verdict.decision === 'suppress') return { state: 'skipped', reason: verdict.decidedBy }
  if (verdict.decision === 'defer' && verdict.until)
    return { state: 'deferred', reason: verdict.decidedBy, until: verdict.until }
  return null
}

type Row = NotificationRow & { userId: string; threadKey: string | null }

async function readNotifications({ pool }: Reader, deliveries: Delivery[]): Promise<Map<string, Row>> {
  const { rows } = await pool.query<Row>({
    name: 'notifications_to_send',
    text: `select n.user_id as "userId", n.thread_key as "threadKey", ${notificationColumns}
           from unnest($1::bigint[], $2::bigint[]) w (u, n)
           join notify.notifications n on n.user_id = w.u and n.id = w.n
           where n.user_id = any($1::bigint[]) and n.expires_at > now()`,
    values: [deliveries.map((d) => d.userId), deliveries.map((d) => d.notificationId)],
  })
  return new Map(rows.map((row) => [keyOf({ userId: row.userId, notificationId: row.id }), row]))
}

function keyOf({ userId, notificationId }: Pick<Delivery, 'userId' | 'notificationId'>): string {
  return `${userId} ${notificationId}`
}

/** Of a single person; who is behind a group was asked for one by one when they joined it. Strangers were judged then, too. */
function relationOf(
  { userId, threadKey, actorIds, actorCount }: Row,
  relations: Awaited<ReturnType<typeof readRelations>>,
  mutedThreads: Set<string>,
): Relation {
  const known = actorCount === 1 ? relations.get(`${userId} ${actorIds[0]}`) : undefined
  const threadMuted = mutedThreads.has(`${userId} ${threadKey}`)
  return { self: false, blocked: false, muted: false, ...known, followed: true, threadMuted }
}
