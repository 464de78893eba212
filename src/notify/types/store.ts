import type pg from 'pg'
import { formerOf } from '../audit/audited.ts'
import { type NotificationType, typeColumns } from './types.ts'

/** A row of notify.types, for admins. `followedPriority` null: same as `priority`. */
export type StoredType = Omit<NotificationType, 'followedPriority'> & {
  followedPriority: NotificationType['followedPriority'] | null
  updatedAt: Date
}
export type TypeChange = Partial<Omit<StoredType, 'type' | 'social' | 'updatedAt'>>

const columns = `${typeColumns}, followed_priority as "followedPriority", updated_at as "updatedAt"`

/** Changes the given settings. Returns their previous values and the new row; null when the type does not exist. */
export async function updateType(
  client: pg.ClientBase,
  type: string,
  change: TypeChange,
): Promise<{ before: TypeChange; now: StoredType } | null> {
  const found = await client.query<StoredType>(`select ${columns} from notify.types where type = $1 for update`, [type])
  const before = found.rows[0]
  if (!before) return null
  const to: StoredType = { ...before, ...change }
  const { rows } = await client.query<StoredType>(updateStatement, [
    type,
    to.priority,
    to.followedPriority,
    to.severity,
    to.channels,
    to.instantThreshold,
    to.windowSeconds,
    to.jitter,
    to.maxGroupSize,
    to.retentionSeconds,
    to.dnd,
    to.title,
    to.body,
    to.url,
    to.fallback,
    to.words,
  ])
  return { before: formerOf(before, change), now: rows[0] ?? before }
}

const updateStatement = `
  update notify.types
  set priority = $2, followed_priority = $3, severity = $4, channels = $5, instant_threshold = $6, window_seconds = $7, jitter = $8,
    max_group_size = $9, retention = make_interval(secs => $10), dnd = $11, title = $12, body = $13, url = $14, fallback = $15, words = $16, updated_at = now()
  where type = $1
  returning ${columns}`
