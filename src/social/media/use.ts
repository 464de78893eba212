import { sql } from 'kysely'
import type pg from 'pg'
import { build, run } from '../../db/kysely.ts'
import { fail } from '../../errors.ts'

/**
 * Attaches media to a post, in this order. Each medium is used once: in one post, or as a profile picture.
 * @throws {AppError} MEDIA_NOT_USABLE when one is unknown, another user's, in use, or named twice
 */
export async function attachMedia(
  client: pg.ClientBase,
  ownerId: string,
  postId: string,
  ids: string[],
): Promise<void> {
  if (ids.length === 0) return
  const { rowCount } = await client.query(
    `update social.media m set post_id = $2, position = given.position, unused_since = null
     from unnest($3::text[]) with ordinality given (id, position)
     where m.id = given.id and m.owner_id = $1 and m.unused_since is not null`,
    [ownerId, postId, ids],
  )
  if (rowCount !== ids.length) throw fail('MEDIA_NOT_USABLE')
}

/**
 * Sets or removes the owner's profile picture. The old one remains for a day, because others may still display it.
 * Requires a lock on the user's row.
 * @throws {AppError} MEDIA_NOT_USABLE
 */
export async function setAvatar(client: pg.ClientBase, ownerId: string, id: string | null): Promise<void> {
  const { rows } = await run(
    client,
    build.selectFrom('social.users').select('avatarMediaId as former').where('id', '=', ownerId),
  )
  const former = rows[0]?.former ?? null
  if (former === id) return
  if (former !== null)
    await run(client, build.updateTable('social.media').set({ unusedSince: sql<Date>`now()` }).where('id', '=', former))
  if (id !== null) {
    const { rowCount } = await client.query(
      `update social.media set unused_since = null
       where id = $1 and owner_id = $2 and unused_since is not null and (select mime from social.media_contents c where c.id = content_id) like 'image/%'`,
      [id, ownerId],
    )
    if (rowCount === 0)
      throw fail(
        'MEDIA_NOT_USABLE',
        'A profile picture must be an image that you uploaded and that is not used elsewhere',
      )
  }
  await run(client, build.updateTable('social.users').set({ avatarMediaId: id }).where('id', '=', ownerId))
}
