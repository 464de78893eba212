import { signAccessToken } from '../../src/social/sessions/tokens.ts'
import { FIRST_ID } from '../past.ts'
import type { System } from '../system/system.ts'

export type Member = { id: string; name: string; token: string }

/** The users and posts of one scenario. Their ids are above all earlier ones, so each scenario is checked alone. */
export type World = {
  members: Member[]
  posts: string[]
  /** State of an inbox without changes. */
  emptyState: string
}

/** Inserts into the tables directly, because sign-ups would spend the CPU time on password hashes. */
export async function makeWorld(
  { pool, config }: Pick<System, 'pool' | 'config'>,
  users: number,
  posts: number,
): Promise<World> {
  const { rows } = await pool.query<{ id: string; name: string; sessionId: string }>(
    `with born as (
       insert into social.users (username, email, password_hash, display_name, post_count)
       select n, n || '@example.org', '-', n, $2::int
       from (select 'u' || lpad((i + (select coalesce(max(id), 0) from social.users where id < ${FIRST_ID}))::text, 9, '0') as n
             from generate_series(1, $1::int) i) names
       returning id, username
     ), inboxes as (
       insert into notify.inbox (user_id) select id from born
     ), sessions as (
       insert into social.sessions (user_id, expires_at) select id, now() + interval '1 day' from born returning id, user_id
     )
     select b.id, b.username as name, s.id as "sessionId" from born b join sessions s on s.user_id = b.id order by b.id`,
    [users, Math.ceil(posts / users)],
  )
  const members = rows.map(({ id, name, sessionId }) => {
    return { id, name, token: signAccessToken(config, { userId: id, sessionId, role: 'user' }) }
  })
  const { rows: written } = await pool.query<{ id: string }>(
    `insert into social.posts (author_id, body)
     select id, 'A post to like' from unnest($1::bigint[]) id, generate_series(1, $2::int) returning id`,
    [members.map((member) => member.id), Math.ceil(posts / users)],
  )
  const { rows: installations } = await pool.query<{ epoch: string }>('select epoch from notify.installation')
  return { members, posts: written.map((post) => post.id), emptyState: `${installations[0]?.epoch}.0` }
}
