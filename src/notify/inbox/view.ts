import pg from 'pg'
import type { Logger } from 'pino'
import { unreadable } from '../../base/metrics.ts'
import { hiddenIds } from '../../db/columns.ts'
import type { Actor, Notification, Priority, Severity } from '../../protocol/notification.ts'
import { type Rendered, render } from '../types/render.ts'
import type { NotificationTypes, TypeLookup } from '../types/types.ts'
import { type PreviewRow, type Previews, previewRows, previewsOf } from './previews.ts'

/** Services to read notifications. An App has all of them. */
export type Reader = { pool: pg.Pool; types: NotificationTypes; log: Logger }

/** A row of notify.notifications `n` as read by `notificationColumns`. */
export type NotificationRow = {
  id: string
  grownModseq: number
  type: string
  priority: Priority
  severity: Severity
  title: string | null
  body: string | null
  url: string | null
  data: Record<string, unknown>
  actorIds: string[]
  actorCount: number
  objectType: string | null
  objectId: string | null
  groupKey: string | null
  /** Times as PostgreSQL prints them. */
  createdAt: string
  updatedAt: string
  deliveredAt: string | null
  readAt: string | null
  archivedAt: string | null
  expiresAt: string
  silent: boolean
  /** Id of the request behind the notification, for the log only. */
  requestId: string | null
  recipientId: string
  fromStrangers: boolean
}

/** Columns of a NotificationRow. Of the stored actors, the first three are shown. */
export const notificationColumns = `n.id, n.grown_modseq::float8 as "grownModseq", n.type, n.priority, n.severity, n.title, n.body, n.url,
  n.data, n.actor_ids[1:3]::text[] as "actorIds", n.actor_count as "actorCount", n.object_type as "objectType",
  n.object_id as "objectId", n.group_key as "groupKey", n.created_at::text as "createdAt", n.updated_at::text as "updatedAt",
  n.delivered_at::text as "deliveredAt", n.read_at::text as "readAt", n.archived_at::text as "archivedAt",
  n.expires_at::text as "expiresAt", n.silent,
  n.request_id as "requestId", n.user_id as "recipientId", n.filter_reason is not distinct from 'strangers' as "fromStrangers"`

/** Data to show rows with: actors, texts of posts and comments, and templates of types. */
export type Shown = {
  actors: Map<string, Actor>
  /** Language that the recipient has chosen, or null. */
  localeOf(userId: string): string | null
  previewOf: Previews
  types: TypeLookup
  log: Logger
}

/**
 * Converts a row to the type of the API. `shown` comes from `loadShown`. `seenModseq`: watermark of the inbox in the same
 * snapshot. Never throws, so that one bad row does not hide the others: it appears with its title only.
 */
export function toNotification(row: NotificationRow, shown: Shown, seenModseq: number): Notification {
  try {
    return inWords(row, shown, seenModseq)
  } catch (err) {
    unreadable.inc()
    shown.log.error(
      { err, notification: row.id, type: row.type, requestId: row.requestId },
      'cannot render a notification in full',
    )
    const title = row.title ?? row.type
    const plain = { title, body: null, url: null, fallback: title }
    return shownAs(row, plain, { data: {}, actors: [], seen: isSeen(row, seenModseq) })
  }
}

/** A read notification counts as seen. */
function isSeen({ grownModseq, readAt }: NotificationRow, seenModseq: number): boolean {
  return readAt !== null || grownModseq <= seenModseq
}

/**
 * Converts a valid row.
 * @throws {Error} `data` is not an object, or rendering fails
 */
function inWords(row: NotificationRow, shown: Shown, seenModseq: number): Notification {
  if (row.data === null || typeof row.data !== 'object' || Array.isArray(row.data))
    throw new TypeError('data are no object')
  const actors = row.actorIds.flatMap((id) => shown.actors.get(id) ?? [])
  const preview = shown.previewOf(row)
  const actorNames = actors.map((actor) => actor.displayName)
  const words = render(
    { ...row, actorNames, preview: preview?.text ?? null },
    shown.types(row.type),
    shown.localeOf(row.recipientId),
  )
  const data = preview?.mediaId ? { ...row.data, mediaId: preview.mediaId } : row.data
  return shownAs(row, words, { data, actors, seen: isSeen(row, seenModseq) })
}

function shownAs(
  row: NotificationRow,
  words: Rendered,
  { data, actors, seen }: Pick<Notification, 'data' | 'actors' | 'seen'>,
): Notification {
  return {
    id: row.id,
    type: row.type,
    priority: row.priority,
    severity: row.severity,
    title: words.title,
    body: words.body,
    url: words.url,
    data,
    actors,
    actorCount: row.actorCount,
    object: row.objectType !== null && row.objectId !== null ? { type: row.objectType, id: row.objectId } : null,
    groupKey: row.groupKey,
    fallback: words.fallback,
    createdAt: timeOf(row.createdAt),
    updatedAt: timeOf(row.updatedAt),
    deliveredAt: row.deliveredAt && timeOf(row.deliveredAt),
    readAt: row.readAt && timeOf(row.readAt),
    archivedAt: row.archivedAt && timeOf(row.archivedAt),
    expiresAt: timeOf(row.expiresAt),
    seen,
    silent: row.silent,
  }
}

/** The valid times, because RFC 3339 requires years of four digits. */
const FIRST_TIME = Date.parse('0001-01-01T00:00:00Z')
const LAST_TIME = Date.parse('9999-12-31T23:59:59.999Z')

const parseTime: (text: string) => Date | number = pg.types.getTypeParser(pg.types.builtins.TIMESTAMPTZ)

/** Of years with four digits, in UTC and with a fraction of a second. */
const PRINTED_IN_UTC = /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3,6}\+00$/

/**
 * A time as PostgreSQL prints it, in RFC 3339 with milliseconds. Most are printed in UTC and only rearranged, which
 * takes a fifth of the time of a Date. Others are limited to the valid range: PostgreSQL's infinity is parsed to a
 * number, and dates too late for JavaScript to NaN.
 */
export function timeOf(text: string): string {
  if (PRINTED_IN_UTC.test(text)) return `${text.slice(0, 10)}T${text.slice(11, 23)}Z`
  const ms = Number(parseTime(text))
  return new Date(Number.isNaN(ms) ? LAST_TIME : Math.min(Math.max(ms, FIRST_TIME), LAST_TIME)).toISOString()
}

/**
 * Reads the actors of these rows, their recipients and their previews in one statement. Deleted users have replaced names.
 * Omits unknown users.
 */
export async function loadShown({ pool, types, log }: Reader, rows: NotificationRow[]): Promise<Shown> {
  const lookup = await types.current()
  const previews = previewsOf(lookup, rows)
  const ids = [...new Set(rows.flatMap((row) => [...row.actorIds, row.recipientId]))]
  const found = ids.length === 0 ? [] : await readShown(pool, previews.of, [ids, ...previews.values])
  const users = new Map<string, UserRow>()
  const texts: PreviewRow[] = []
  for (const row of found)
    if (row.kind === 'user') users.set(row.id, row)
    else texts.push(row)
  const actors = new Map([...users].map(([id, user]) => [id, actorOf(user)]))
  const localeOf = (userId: string) => users.get(userId)?.locale ?? null
  return { actors, localeOf, previewOf: previews.from(texts), types: lookup, log }
}

type UserRow = { kind: 'user'; mediaId: string | null; locale: string | null } & Omit<ActorRow, 'avatarMediaId'>

async function readShown(
  pool: pg.Pool,
  of: keyof typeof previewRows,
  values: unknown[],
): Promise<(UserRow | PreviewRow)[]> {
  const { rows } = await pool.query<UserRow | PreviewRow>({ name: `shown_of_${of}`, text: shownStatements[of], values })
  return rows
}

const shownStatement = (previews: string) => `
  select 'user' as kind, u.id, null::bigint as "authorId", null as text, u.avatar_media_id as "mediaId",
    null::bigint as "hiddenFrom", u.username, u.display_name as "displayName", u.avatar_url as "avatarUrl", u.locale
  from social.users u where u.id = any(${hiddenIds('$1')})
  union all
  select p.*, null, null, null, null from (${previews}) p`

const shownStatements = {
  recipients: shownStatement(previewRows.recipients),
  everyone: shownStatement(previewRows.everyone),
}

function actorOf({ id, username, displayName, mediaId, avatarUrl }: UserRow): Actor {
  return toActor({ id, username, displayName, avatarMediaId: mediaId, avatarUrl })
}

export const actorColumns = `u.id, u.username, u.display_name as "displayName", u.avatar_media_id as "avatarMediaId",
  u.avatar_url as "avatarUrl"`

export type ActorRow = Omit<Actor, 'avatarUrl'> & { avatarUrl: string | null }

export function toActor({ avatarUrl, ...actor }: ActorRow): Actor {
  return { ...actor, ...(avatarUrl !== null && { avatarUrl }) }
}
