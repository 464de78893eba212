import type pg from 'pg'
import { Coalescer } from '../../db/coalescer.ts'
import { columns } from '../../db/columns.ts'
import { inboxOf } from '../../notify/inbox/lock.ts'

export type Hello = { userId: string; sessionId: string }

/** The data of a `welcome`. `acked`: the state that any device acknowledged. */
export type Welcome = { epoch: string; modseq: number; acked: number; unreadCount: number; unseenCount: number }

/** Reads the welcome of a session. Null when the session has ended or the user does not exist. */
export type Welcomes = Coalescer<'hello', Hello, Welcome | null>

/**
 * Looks up sessions and inboxes of many hellos in one statement. After a node fails, all its clients reconnect at once.
 */
export function createWelcomes(pool: pg.Pool): Welcomes {
  return new Coalescer({
    keyOf: ({ userId, sessionId }) => `${userId} ${sessionId}`,
    run: { hello: (hellos) => readWelcomes(pool, hellos) },
  })
}

/** Reads welcomes in the order of the hellos. */
export async function readWelcomes(pool: pg.Pool, hellos: Hello[]): Promise<(Welcome | null)[]> {
  const { rows } = await pool.query<Welcome & { place: number }>({
    name: 'welcomes',
    text: `select w.place::int as place, epoch, modseq::float8 as modseq, acked_modseq::float8 as acked,
             unread_count as "unreadCount", unseen_count as "unseenCount"
           from ${asked.from}
           join social.sessions s on s.id = w.session_id and s.user_id = w.user_id and s.revoked_at is null and s.expires_at > now()
           cross join ${inboxOf('w.user_id')}
           cross join notify.installation`,
    values: asked.values(hellos),
  })
  const found = new Map(rows.map(({ place, ...welcome }) => [place, welcome]))
  return hellos.map((_, index) => found.get(index + 1) ?? null)
}

const asked = columns<Hello>(
  { user_id: ['bigint', ({ userId }) => userId], session_id: ['bigint', ({ sessionId }) => sessionId] },
  { place: 'place' },
)
