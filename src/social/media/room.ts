import type pg from 'pg'
import type { App } from '../../app.ts'
import { build, run } from '../../db/kysely.ts'
import { inTransaction } from '../../db/transaction.ts'
import { fail } from '../../errors.ts'

/** The maximum number of pictures in a post. */
export const UPLOADS_AT_A_TIME = 4
/**
 * Quota in bytes of a user without a confirmed address, where addresses can be confirmed, because accounts are easy to
 * create.
 */
export const UNVERIFIED_QUOTA = 20 * 1024 * 1024
/** SQL for uploads in progress. Older rows belong to a process that was killed. */
const UNDER_WAY = `begun_at > now() - interval '10 minutes'`
/** Bytes of a multipart body around the file. */
const ENVELOPE_BYTES = 1024

type Owner = { id: string; verified: boolean }

/**
 * Reserves space for an upload before reading it, so that concurrent uploads count.
 * @param announced Content-Length, if present; otherwise the upload counts with the maximum size
 * @returns the id for `endUpload`
 * @throws {AppError} UNAUTHENTICATED, TOO_MANY_UPLOADS, MEDIA_QUOTA_EXCEEDED, MEDIA_STORAGE_FULL
 */
export function beginUpload(app: App, ownerId: string, announced = Number.POSITIVE_INFINITY): Promise<string> {
  const bytes = Math.max(1, Math.min(announced - ENVELOPE_BYTES, app.config.mediaMaxSize))
  return inTransaction(app.pool, async (client) => {
    const owner = await lockOwner(client, ownerId)
    const { running, reserved, total } = await readUploads(client, ownerId)
    if (running >= UPLOADS_AT_A_TIME)
      throw fail('TOO_MANY_UPLOADS', `At most ${UPLOADS_AT_A_TIME} uploads at a time`, { retryAfter: 5 })
    await requireRoom(app, client, owner, reserved + bytes)
    if (total + bytes > app.config.mediaTotal) throw fail('MEDIA_STORAGE_FULL')
    const { rows } = await run(
      client,
      build.insertInto('social.mediaUploads').values({ ownerId, bytes }).returning('id'),
    )
    return rows[0]?.id ?? ''
  })
}

/** If this fails, the reservation expires after ten minutes. */
export async function endUpload({ pool, log }: App, uploadId: string): Promise<void> {
  await run(pool, build.deleteFrom('social.mediaUploads').where('id', '=', uploadId)).catch((err) =>
    log.warn({ err }, 'cannot release the reservation of a finished upload; it expires in ten minutes'),
  )
}

/** Serialises the uploads of a user, so that together they respect the quota. @throws {AppError} UNAUTHENTICATED */
export async function lockOwner(client: pg.ClientBase, ownerId: string): Promise<Owner> {
  const { rows } = await client.query<Owner>(
    `select id, email_verified_at is not null as verified from social.users
     where id = $1 and deleted_at is null for no key update`,
    [ownerId],
  )
  if (!rows[0]) throw fail('UNAUTHENTICATED')
  return rows[0]
}

/** @throws {AppError} MEDIA_QUOTA_EXCEEDED unless `bytes` fit in addition to the owner's files */
export async function requireRoom({ config }: App, client: pg.ClientBase, owner: Owner, bytes: number): Promise<void> {
  const { rows } = await client.query<{ used: string }>(
    `select coalesce(sum(c.size), 0) as used from social.media m join social.media_contents c on c.id = m.content_id
     where m.owner_id = $1`,
    [owner.id],
  )
  const little = config.smtp !== null && !owner.verified
  const quota = little ? Math.min(UNVERIFIED_QUOTA, config.mediaQuota) : config.mediaQuota
  if (Number(rows[0]?.used) + bytes <= quota) return
  const help = 'Delete posts with media, or wait a day until unused files are removed'
  throw fail('MEDIA_QUOTA_EXCEEDED', little ? `Confirm your email address to get a larger quota. ${help}` : help)
}

async function readUploads(client: pg.ClientBase, ownerId: string) {
  const { rows } = await client.query<{ running: number; reserved: string; total: string }>(
    `select count(*) filter (where owner_id = $1)::int as running, coalesce(sum(bytes) filter (where owner_id = $1), 0) as reserved,
       coalesce(sum(bytes), 0) + (select coalesce(sum(size), 0) from social.media_contents) as total
     from social.media_uploads where ${UNDER_WAY}`,
    [ownerId],
  )
  const { running = 0, reserved, total } = rows[0] ?? {}
  return { running, reserved: Number(reserved), total: Number(total) }
}
