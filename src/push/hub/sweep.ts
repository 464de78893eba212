import type { App } from '../../app.ts'
import { inboxOf } from '../../notify/inbox/lock.ts'
import type { Connection } from '../connections/connection.ts'
import type { Hub } from './hub.ts'

/**
 * Fallback for lost hints: compares the states of all connected users with notify.inbox, and their sessions with
 * social.sessions. So a lost hint costs one interval, never data.
 */
export async function sweep({ pool }: App, hub: Hub): Promise<void> {
  if (hub.userIds().length === 0) return
  const [inboxes] = await Promise.all([
    pool.query<{ userId: string; epoch: string; modseq: number }>(
      `select i.user_id as "userId", epoch, i.modseq::float8 as modseq
       from unnest($1::bigint[]) w (user_id) cross join ${inboxOf('w.user_id')} cross join notify.installation`,
      [hub.userIds()],
    ),
    closeEnded(pool, hub.connections()),
  ])
  for (const { userId, epoch, modseq } of inboxes.rows) hub.compare(userId, epoch, modseq)
}

/** Closes the sockets among these whose session has ended. */
export async function closeEnded(pool: App['pool'], connections: Connection[]): Promise<void> {
  const named = connections.flatMap((connection) =>
    connection.identity ? [{ connection, id: connection.identity.sessionId }] : [],
  )
  if (named.length === 0) return
  const { rows } = await pool.query<{ id: string }>({
    name: 'live_sessions',
    text: 'select id from social.sessions where id = any($1::bigint[]) and revoked_at is null and expires_at > now()',
    values: [[...new Set(named.map(({ id }) => id))]],
  })
  const live = new Set(rows.map(({ id }) => id))
  for (const { connection, id } of named) if (!live.has(id)) connection.close('forbidden')
}
