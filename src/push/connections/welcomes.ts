import type pg from 'pg'
import { Coalescer } from '../../db/coalescer.ts'

export type Hello = { userId: string; sessionId: string }

/** What a socket is welcomed with; `acked`: acknowledged by any device. */
export type Welcome = { epoch: string; modseq: number; acked: number; unreadCount: number; unseenCount: number }

/** Null: the session is not live, or nobody of this id is there. */
export type Welcomes = Coalescer<'hello', Hello, Welcome | null>

/** Looks up sessions and inboxes for many hellos in one statement: after a node was lost, its clients all come at once. */
export function createWelcomes(pool: pg.Pool): Welcomes {
  return new Coalescer({
    keyOf: ({ userId, sessionId }) => `${userId} ${sessionId}`,
    run: { hello: (hellos) => readWelcomes(pool, hellos) },
  })
}

/** In the order of the hellos. */
export async function readWelcomes(pool: pg.Pool, hellos: Hello[]): Promise<(Welcome | null)[]> {
  const { rows } = await pool.query<Welcome & { n: number }>({
    name: 'welcomes',
    text: `select w.n::int as n, epoch, modseq::float8 as modseq, acked_modseq::float8 as acked,
             unread_count as "unreadCount", unseen_count as "unseenCount"
           from unnest($1::bigint[], $2::bigint[]) with ordinality w (user_id, session_id, n)
           join social.sessions s on s.id = w.session_id and s.user_id = w.user_id and s.revoked_at is null and s.expires_at > now()
           join notify.inbox i on i.user_id = w.user_id
           cross join notify.installation`,
    values: [hellos.map(({ userId }) => userId), hellos.map(({ sessionId }) => sessionId)],
  })
  const found = new Map(rows.map(({ n, ...welcome }) => [n, welcome]))
  return hellos.map((_, index) => found.get(index + 1) ?? null)
}
