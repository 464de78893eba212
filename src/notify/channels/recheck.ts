import { columns } from '../../db/columns.ts'
import type { Notification } from '../../protocol/notification.ts'
import type { Loaded } from '../dispatch/model.ts'
import type { Previews } from '../inbox/previews.ts'
import { loadShown, type NotificationRow, notificationColumns, type Reader, toNotification } from '../inbox/view.ts'
import { type Decision, decide, type Relation, type UserPreferences } from '../rules/decide.ts'
import { preferencesOf, readRelations, relationOf } from '../rules/relations.ts'
import type { TypeLookup } from '../types/types.ts'
import type { Delivery, Outcome } from './deliveries.ts'

/** A delivery with the current state of its notification. */
export type Sendable = { delivery: Delivery; notification: Notification }
export type Judged = { sendable: Sendable[]; settled: { delivery: Delivery; outcome: Outcome }[] }

/**
 * Applies all rules again at the time of sending, to current data. Notifications that were read, archived or removed
 * are cancelled. Those that the user no longer wants are skipped. Those of users whose quiet hours have begun meanwhile
 * are deferred.
 * @param deliveries of one channel
 */
export async function judgeDeliveries(reader: Reader, deliveries: Delivery[]): Promise<Judged> {
  const rows = await readNotifications(reader, deliveries)
  const recipients = [...rows.values()].flatMap(recipientsOf)
  const isMail = deliveries.some(({ channel }) => channel === 'email')
  const verified = await readVerified(reader, isMail ? [...rows.values()] : [])
  const types = await reader.types.current()
  const toShow = (row: Row) => (isMail && types(row.type).social ? withoutUnverified(row, verified) : row)
  const [shown, relations, preferences] = await Promise.all([
    loadShown(reader, [...rows.values()].map(toShow)),
    readRelations(reader.pool, recipients),
    preferencesOf(reader.pool, [...new Set(deliveries.map((delivery) => delivery.userId))]),
  ])
  const judged: Judged = { sendable: [], settled: [] }
  const gathered = isMail ? nobody : await readGathered(reader, deliveries, rows, preferences)
  const words = isMail ? { ...shown, previewOf: verifiedOnly(shown.previewOf, verified) } : shown
  for (const delivery of deliveries) {
    const row = rows.get(keyOf(delivery))
    const ownPreferences = preferencesNow(preferences.get(delivery.userId), row)
    const isGathered = gathered.has(`${keyOf(delivery)} ${delivery.target}`)
    const now = { ...relations, types: shown.types, verified, ownPreferences, isGathered }
    const outcome = judge(delivery, row, now)
    if (outcome) judged.settled.push({ delivery, outcome })
    else if (row) judged.sendable.push({ delivery, notification: toNotification(toShow(row), words, 0) })
  }
  return judged
}

type Now = Pick<Loaded, 'relations' | 'mutedThreads'> & {
  types: TypeLookup
  ownPreferences: UserPreferences | undefined
  verified: Set<string>
  /** A later push is sent instead. */
  isGathered: boolean
}

const nobody: ReadonlySet<string> = new Set()

/**
 * Leaves out the cap, which was applied when the notification was dispatched, and the digest if this is the one that the
 * mail waited for.
 */
function preferencesNow(
  ownPreferences: UserPreferences | undefined,
  row: Row | undefined,
): UserPreferences | undefined {
  return ownPreferences && { ...ownPreferences, recent: [], digestAt: row?.digestAt ?? null }
}

/** Why a delivery is not sent now. Null: it is sent. */
function judge({ channel }: Delivery, row: Row | undefined, now: Now): Outcome | null {
  if (!row) return { state: 'cancelled', reason: 'removed' }
  if (row.readAt) return { state: 'cancelled', reason: 'read' }
  if (row.archivedAt) return { state: 'cancelled', reason: 'archived' }
  if (channel === 'email' && isOfUnverified(row, now)) return { state: 'skipped', reason: 'unverified' }
  const verdict = decideNow(channel, row, now)
  if (verdict.decision === 'suppress') return { state: 'skipped', reason: verdict.decidedBy }
  if (now.isGathered) return { state: 'skipped', reason: 'cap' }
  if (verdict.decision === 'defer' && verdict.until)
    return { state: 'deferred', reason: verdict.decidedBy, until: verdict.until }
  return null
}

/**
 * Whether no actor has a verified address. A mail carries the actors' words, and accounts are quick to create in bulk.
 */
function isOfUnverified({ type, keptActorIds }: Row, { types, verified }: Now): boolean {
  return types(type).social && keptActorIds.length > 0 && !keptActorIds.some((id) => verified.has(id))
}

/** Leaves out unverified actors, because a body may quote the latest of them. */
function withoutUnverified(row: Row, verified: Set<string>): Row {
  const shown = row.keptActorIds.filter((id) => verified.has(id))
  if (shown.length === row.keptActorIds.length) return row
  return { ...row, actorIds: shown.slice(0, row.actorIds.length), body: null }
}

/** Shows the words of verified authors only. The recipient's own words need no verified address. */
function verifiedOnly(previewOf: Previews, verified: Set<string>): Previews {
  return (of) => {
    const preview = previewOf(of)
    return preview && (preview.authorId === of.recipientId || verified.has(preview.authorId)) ? preview : null
  }
}

async function readVerified({ pool }: Reader, rows: Row[]): Promise<Set<string>> {
  const actorIds = [...new Set(rows.flatMap(({ keptActorIds }) => keptActorIds))]
  if (actorIds.length === 0) return new Set()
  const { rows: found } = await pool.query<{ id: string }>(
    'select id from social.users where id = any($1::bigint[]) and email_verified_at is not null',
    [actorIds],
  )
  return new Set(found.map(({ id }) => id))
}

/** Decides for a group: it is sent while the rules allow at least one of its kept actors. */
function decideNow(channel: Delivery['channel'], row: Row, { types, ownPreferences, ...people }: Now): Decision {
  const about = recipientsOf(row).map((recipient) => relationOf(recipient, people))
  const decideOn = (relation: Relation | null) =>
    decide(types(row.type), channel, relation, ownPreferences, row.priority === 'critical')
  const welcome = about.find((relation) => decideOn(relation).decision !== 'suppress')
  return decideOn(welcome ?? about[0] ?? null)
}

/** Creates one recipient row per kept actor, as if each had acted now. Some sends have no actor. */
function recipientsOf({ userId, threadKey, keptActorIds }: Row) {
  const actorIds = keptActorIds.length > 0 ? keptActorIds : [null]
  return actorIds.map((actorId) => ({ recipientId: userId, actorId, threadKey, retracts: false }))
}

/**
 * Finds pushes that waited for the end of a cap or a quiet time while a later one under the same cap waits too: only
 * the later one is sent. Returns `user notification target`. Users without a cap cost no statement.
 */
async function readGathered(
  { pool }: Reader,
  deliveries: Delivery[],
  rows: Map<string, Row>,
  preferences: Map<string, UserPreferences>,
): Promise<Set<string>> {
  const capped = deliveries.flatMap(({ userId, notificationId, target }) => {
    const type = rows.get(keyOf({ userId, notificationId }))?.type
    const document = preferences.get(userId)?.document
    if (type === undefined || !(document?.cap ?? document?.types?.[type]?.cap)) return []
    return [{ userId, notificationId, target, type: document.cap ? null : type }]
  })
  if (capped.length === 0) return new Set()
  const { rows: gathered } = await pool.query<{ key: string }>({
    name: 'gathered_pushes',
    text: `select concat_ws(' ', d.user_id, d.notification_id, d.target) as key
           from ${pushes.from}
           join notify.deliveries d on d.user_id = w.user_id and d.notification_id = w.notification_id and d.channel = 'webPush' and d.target = w.target
           where d.reason in ('cap', 'dnd', 'snooze') and exists (
             select from notify.deliveries l
             join notify.notifications n on n.user_id = l.user_id and n.id = l.notification_id
             where l.user_id = d.user_id and l.target = d.target and l.grown_modseq > d.grown_modseq
               and l.channel = 'webPush' and l.reason is not null and l.due_at is not null
               and n.read_at is null and n.archived_at is null and (w.type is null or n.type = w.type))`,
    values: pushes.values(capped),
  })
  return new Set(gathered.map(({ key }) => key))
}

const pushes = columns<{ userId: string; notificationId: string; target: string; type: string | null }>({
  user_id: ['bigint', ({ userId }) => userId],
  notification_id: ['bigint', ({ notificationId }) => notificationId],
  target: ['text', ({ target }) => target],
  type: ['text', ({ type }) => type],
})

type Row = NotificationRow & {
  userId: string
  threadKey: string | null
  keptActorIds: string[]
  /** The digest that it waits for; null: none, or due. */
  digestAt: Date | null
}

async function readNotifications({ pool }: Reader, deliveries: Delivery[]): Promise<Map<string, Row>> {
  const { rows } = await pool.query<Row>({
    name: 'notifications_to_send',
    text: `select n.user_id as "userId", n.thread_key as "threadKey", n.actor_ids::text[] as "keptActorIds",
             case when p.digest_at > now() then p.digest_at end as "digestAt",
             ${notificationColumns}
           from ${sent.from}
           join notify.notifications n on n.user_id = w.user_id and n.id = w.notification_id
           left join lateral (
             select notify.digest_at(s.document -> 'digest', notify.digest_zone(s.user_id, s.document -> 'digest'), n.updated_at) as digest_at
             from notify.preferences s where s.user_id = w.user_id and s.document ? 'digest'
           ) p on true
           where n.user_id = any($1::bigint[]) and n.expires_at > now()`,
    values: sent.values(deliveries),
  })
  return new Map(rows.map((row) => [keyOf({ userId: row.userId, notificationId: row.id }), row]))
}

const sent = columns<Delivery>({
  user_id: ['bigint', (delivery) => delivery.userId],
  notification_id: ['bigint', (delivery) => delivery.notificationId],
})

function keyOf({ userId, notificationId }: Pick<Delivery, 'userId' | 'notificationId'>): string {
  return `${userId} ${notificationId}`
}
