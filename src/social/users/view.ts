import { type Static, Type } from '@sinclair/typebox'
import type pg from 'pg'
import { Id } from '../../protocol/id.ts'
import { AvatarMediaId, AvatarUrl } from '../../protocol/notification.ts'

/** The public view of a user. `viewer` describes the relation to the viewer. */
export const User = Type.Object({
  id: Id,
  username: Type.String(),
  displayName: Type.String(),
  bio: Type.String(),
  avatarMediaId: AvatarMediaId,
  avatarUrl: AvatarUrl,
  followerCount: Type.Integer({ description: 'Users who follow this user' }),
  followingCount: Type.Integer({ description: 'Users whom this user follows' }),
  postCount: Type.Integer(),
  createdAt: Type.String({ format: 'date-time' }),
  viewer: Type.Object(
    {
      following: Type.Boolean({ description: 'The caller follows this user' }),
      followedBy: Type.Boolean({ description: 'This user follows the caller' }),
      bell: Type.Boolean({ description: 'Each new post of this user notifies the caller' }),
      blocked: Type.Boolean({ description: 'The caller blocks this user' }),
      muted: Type.Boolean({ description: 'The caller mutes this user' }),
    },
    { description: 'Relation of the caller to this user' },
  ),
})
export type User = Static<typeof User>

export type UserRow = Omit<User, 'avatarUrl' | 'createdAt' | 'viewer'> & {
  avatarUrl: string | null
  createdAt: Date
  following: boolean
  followedBy: boolean
  bell: boolean
  blocked: boolean
  muted: boolean
}

/**
 * The columns of a UserRow, for statements over `social.users u`. `viewer` is the placeholder of the viewer's id:
 * `$1::bigint`.
 */
export function userColumns(viewer: string): string {
  return `u.id, u.username, u.display_name as "displayName", u.bio, u.avatar_media_id as "avatarMediaId", u.avatar_url as "avatarUrl",
    u.follower_count as "followerCount", u.following_count as "followingCount", u.post_count as "postCount", u.created_at as "createdAt",
    exists (select from social.follows f where f.follower_id = ${viewer} and f.followee_id = u.id) as following,
    exists (select from social.follows f where f.follower_id = u.id and f.followee_id = ${viewer}) as "followedBy",
    exists (select from social.bells b where b.author_id = u.id and b.user_id = ${viewer}) as bell,
    exists (select from social.blocks b where b.user_id = ${viewer} and b.other_id = u.id) as blocked,
    exists (select from social.mutes m where m.user_id = ${viewer} and m.other_id = u.id and coalesce(m.until > now(), true)) as muted`
}

export function toUser({ avatarUrl, createdAt, following, followedBy, bell, blocked, muted, ...user }: UserRow): User {
  return {
    ...user,
    ...(avatarUrl !== null && { avatarUrl }),
    createdAt: createdAt.toISOString(),
    viewer: { following, followedBy, bell, blocked, muted },
  }
}

/** Finds a user by id. Undefined when the user does not exist or is deleted. */
export async function findUser(pool: pg.Pool, id: string, viewerId: string): Promise<User | undefined> {
  return (await readUser(pool, id, viewerId))?.user
}

/**
 * Like `findUser`, but also undefined when that user blocks the viewer. Viewers still find users they block, so that
 * they can end the block.
 */
export async function findVisibleUser(pool: pg.Pool, id: string, viewerId: string): Promise<User | undefined> {
  const found = await readUser(pool, id, viewerId)
  return found?.blockedBy ? undefined : found?.user
}

/** Like `findVisibleUser`, by a username in any case. */
export async function findVisibleUserByName(pool: pg.Pool, name: string, viewerId: string): Promise<User | undefined> {
  const found = await readUser(pool, name.toLowerCase(), viewerId, 'username')
  return found?.blockedBy ? undefined : found?.user
}

async function readUser(pool: pg.Pool, key: string, viewerId: string, by: 'id' | 'username' = 'id') {
  const { rows } = await pool.query<UserRow & { blockedBy: boolean }>({
    name: `find_user_by_${by}`,
    text: `select ${userColumns('$2::bigint')},
             exists (select from social.blocks b where b.user_id = u.id and b.other_id = $2::bigint) as "blockedBy"
           from social.users u where u.${by} = $1 and u.deleted_at is null`,
    values: [key, viewerId],
  })
  if (!rows[0]) return undefined
  const { blockedBy, ...user } = rows[0]
  return { user: toUser(user), blockedBy }
}
