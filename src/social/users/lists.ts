import type pg from 'pg'
import { cutPage, decodeCursor } from '../../http/paging.ts'
import { unblocked } from '../../notify/rules/silences.ts'
import { toUser, type User, type UserRow, userColumns } from './view.ts'

export type Page = { items: User[]; nextCursor: string | null }
export type PageRequest = { userId: string; viewerId: string; limit: number; cursor: string | undefined }

/** The user's followers, newest accounts first, by index follows_by_followee. */
export function listFollowers(pool: pg.Pool, request: PageRequest): Promise<Page> {
  return list(pool, request, 'l.follower_id', `social.follows l where l.followee_id = $1::bigint`)
}

/** The users this user follows, newest accounts first, by the primary key of follows. */
export function listFollowing(pool: pg.Pool, request: PageRequest): Promise<Page> {
  return list(pool, request, 'l.followee_id', `social.follows l where l.follower_id = $1::bigint`)
}

/** Mutual follows of the user, newest accounts first. */
export function listFriends(pool: pg.Pool, request: PageRequest): Promise<Page> {
  const back = `exists (select from social.follows b where b.follower_id = l.followee_id and b.followee_id = l.follower_id)`
  return list(pool, request, 'l.followee_id', `social.follows l where l.follower_id = $1::bigint and ${back}`)
}

/**
 * Users blocked by the viewer, newest accounts first. Includes those who block the viewer too, so that the viewer can
 * end the block.
 */
export function listBlocked(pool: pg.Pool, request: PageRequest): Promise<Page> {
  return list(pool, request, 'l.other_id', 'social.blocks l where l.user_id = $1::bigint', 'true')
}

/** Users currently muted by the viewer, newest accounts first, without those who block the viewer. */
export function listMuted(pool: pg.Pool, request: PageRequest): Promise<Page> {
  const muted = 'social.mutes l where l.user_id = $1::bigint and coalesce(l.until > now(), true)'
  const visible = 'not exists (select from social.blocks b where b.user_id = k.id and b.other_id = $2::bigint)'
  return list(pool, request, 'l.other_id', muted, visible)
}

async function list(
  pool: pg.Pool,
  request: PageRequest,
  member: string,
  from: string,
  visible = unblocked('$2::bigint', 'k.id'),
): Promise<Page> {
  const { userId, viewerId, limit, cursor } = request
  const [before] = decodeCursor(cursor, 1) ?? []
  const { rows } = await pool.query<UserRow>(
    `select ${userColumns('$2::bigint')}
     from (select ${member} as id from ${from}) k
     join social.users u on u.id = k.id and u.deleted_at is null
     where ($3::bigint is null or k.id < $3::bigint) and ${visible}
     order by k.id desc limit $4::int`,
    [userId, viewerId, before ?? null, limit + 1],
  )
  const { items, nextCursor } = cutPage(rows, limit, (last) => [last.id])
  return { items: items.map(toUser), nextCursor }
}
