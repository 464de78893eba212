import type { App } from '../app.ts'
import type { Hub } from './hub.ts'

/**
 * Compares everybody who is connected with the database: states with notify.inbox, sessions with social.sessions. It stands
 * behind every hint, so a lost one costs an interval, never data.
 */
export async function sweep({ pool }: App, hub: Hub): Promise<void> {
  if (hub.userIds().length === 0) return
  const [inboxes, liveSessions] = await Promise.all([
    pool.query<{ userId: string; epoch: string; modseq: number }>(
      `select user_id as "userId", epoch, modseq::float8 as modseq
       from notify.inbox cross join notify.installation where user_id = any($1::bigint[])`,
      [hub.userIds()],
    ),
    liveAmong(pool, hub.sessions()),
  ])
  for (const { userId, epoch, modseq } of inboxes.rows) hub.compare(userId, epoch, modseq)
  for (const session of liveSessions.gone) session.close('forbidden')
}

/** Sockets that joined while the query ran are not judged by it. */
async function liveAmong(pool: App['pool'], sessions: ReturnType<Hub['sessions']>) {
  const named = sessions.flatMap((session) => (session.identity ? [{ session, id: session.identity.sessionId }] : []))
  const { rows } = await pool.query<{ id: string }>(
    'select id from social.sessions where id = any($1::bigint[]) and revoked_at is null and expires_at > now()',
    [[...new Set(named.map(({ id }) => id))]],
  )
  const live = new Set(rows.map(({ id }) => id))
  return { gone: named.filter(({ id }) => !live.has(id)).map(({ session }) => session) }
}
