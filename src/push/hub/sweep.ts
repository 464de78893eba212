import type { App } from '../../app.ts'
import type { Session } from '../connections/session.ts'
import type { Hub } from './hub.ts'

/**
 * Fallback for lost hints: compares the states of all connected users with notify.inbox, and their sessions with
 * social.sessions. So a lost hint costs one interval, never data.
 */
export async function sweep({ pool }: App, hub: Hub): Promise<void> {
  if (hub.userIds().length === 0) return
  const [inboxes] = await Promise.all([
    pool.query<{ userId: string; epoch: string; modseq: number }>(
      `select user_id as "userId", epoch, modseq::float8 as modseq
       from notify.inbox cross join notify.installation where user_id = any($1::bigint[])`,
      [hub.userIds()],
    ),
    closeEnded(pool, hub.sessions()),
  ])
  for (const { userId, epoch, modseq } of inboxes.rows) hub.compare(userId, epoch, modseq)
}

/** Closes the sockets among these whose session has ended. */
export async function closeEnded(pool: App['pool'], sessions: Session[]): Promise<void> {
  const named = sessions.flatMap((session) => (session.identity ? [{ session, id: session.identity.sessionId }] : []))
  if (named.length === 0) return
  const { rows } = await pool.query<{ id: string }>({
    name: 'live_sessions',
    text: 'select id from social.sessions where id = any($1::bigint[]) and revoked_at is null and expires_at > now()',
    values: [[...new Set(named.map(({ id }) => id))]],
  })
  const live = new Set(rows.map(({ id }) => id))
  for (const { session, id } of named) if (!live.has(id)) session.close('forbidden')
}
