import type pg from 'pg'
import type { App } from '../../app.ts'
import { repeatChunk } from '../../base/pulse.ts'
import { inTransaction } from '../../db/transaction.ts'

export const UNUSED_KEPT = '1 day'
/** Age after which an unfinished upload is deleted. Longer than an upload can take. */
const UNFINISHED_KEPT = '1 hour'
/** Media per transaction. Each may have 50 MiB. */
const MEDIA_PER_CHUNK = 10

/** Removes media unused for a day, and the remains of interrupted uploads. */
export async function cleanMedia({ pool, log }: Pick<App, 'pool' | 'log'>): Promise<void> {
  const removed = {
    unused: await repeatChunk(() =>
      inTransaction(pool, (client) => freeMedia(client, `unused_since < now() - interval '${UNUSED_KEPT}'`)),
    ),
    uploads: (
      await pool.query(`delete from social.media_uploads where begun_at < now() - interval '${UNFINISHED_KEPT}'`)
    ).rowCount,
    unfinished: await repeatChunk(async () => (await pool.query(unfinished)).rowCount ?? 0),
  }
  log.info(removed, 'removed unused media')
}

/**
 * Deletes up to ten media that match the condition, and files that no other medium uses. Locks the files first: of two
 * transactions that release a file, the second sees that it is the last user. A concurrent upload of the same file
 * waits, and then finds the file or not.
 * @returns the number of media
 */
export async function freeMedia(client: pg.ClientBase, condition: string, values: unknown[] = []): Promise<number> {
  const { rows } = await client.query<{ id: string; contentId: string }>(
    `select id, content_id as "contentId" from social.media where ${condition} limit ${MEDIA_PER_CHUNK} for update skip locked`,
    values,
  )
  if (rows.length === 0) return 0
  const contentIds = rows.map(({ contentId }) => contentId)
  await client.query('select from social.media_contents where id = any($1::bigint[]) order by id for update', [
    contentIds,
  ])
  await client.query('delete from social.media where id = any($1::text[])', [rows.map(({ id }) => id)])
  await client.query(
    `delete from social.media_contents c where c.id = any($1::bigint[])
       and not exists (select from social.media m where m.content_id = c.id)`,
    [contentIds],
  )
  return rows.length
}

const unfinished = `
  delete from social.media_contents where id = any(array(
    select id from social.media_contents where sha256 is null and created_at < now() - interval '${UNFINISHED_KEPT}'
    limit ${MEDIA_PER_CHUNK} for update skip locked))`
