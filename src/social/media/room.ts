import type pg from 'pg'
import type { App } from '../../app.ts'
import { inTransaction } from '../../db/transaction.ts'
import { fail } from '../../errors.ts'

/** As many pictures as a post may have. */
export const UPLOADS_AT_A_TIME = 4
/** Bytes of all files of a user who confirmed no address, where addresses can be confirmed: accounts are quickly made. */
export const UNVERIFIED_QUOTA = 20 * 1024 * 1024
/** Longer than an upload may take: what is older was left by a process that was killed. */
const UNDER_WAY = `begun_at > now() - interval '10 minutes'`
/** Of a multipart body, what is not the file. */
const ENVELOPE_BYTES = 1024

type Owner = { id: string; verified: boolean }

/**
 * Reserves room for an upload before any of it is read, so that those under way count.
 * @param announced Content-Length, if there is one; without it the upload counts as the largest that may come
 * @returns what `endUpload` ends
 * @throws {AppError} UNAUTHENTICATED, TOO_MANY_UPLOADS, MEDIA_QUOTA_EXCEEDED, MEDIA_STORAGE_FULL
 */
export function beginUpload(app: App, ownerId: string, announced = Number.POSITIVE_INFINITY): Promise<string> {
  const bytes = Math.max(1, Math.min(announced - ENVELOPE_BYTES, app.config.mediaMaxSize))
  return inTransaction(app.pool, async (client) => {
    const owner = await lockOwner(client, ownerId)
    const { running, reserved, total } = await readUploads(client, ownerId)
    if (running >= UPLOADS_AT_A_TIME)
      throw fail('TOO_MANY_UPLOADS', `At most ${UPLOADS_AT_A_TIME} at a time`, { retryAfter: 5 })
    await requireRoom(app, client, owner, reserved + bytes)
    if (total + bytes > app.config.mediaTotal) throw fail('MEDIA_STORAGE_FULL')
    const { rows } = await client.query<{ id: string }>(
      'insert into social.media_uploads (owner_id, bytes) values ($1, $2) returning id',
      [ownerId, bytes],
    )
    return rows[0]?.id ?? ''
  })
}

/** Were this to fail, the room would be free again in ten minutes. */
export async function endUpload({ pool, log }: App, uploadId: string): Promise<void> {
  await pool
    .query('delete from social.media_uploads where id = $1', [uploadId])
    .catch((err) => log.warn({ err }, 'an upload that ended keeps its room for ten minutes'))
}

/** What one user uploads comes one after the other here, so that together it keeps the quota. @throws {AppError} UNAUTHENTICATED */
export async function lockOwner(client: pg.ClientBase, ownerId: string): Promise<Owner> {
  const { rows } = await client.query<Owner>(
    `select id, email_verified_at is not null as verified from social.users
     where id = $1 and deleted_at is null for no key update`,
    [ownerId],
  )
  if (!rows[0]) throw fail('UNAUTHENTICATED')
  return rows[0]
}

/** @throws {AppError} MEDIA_QUOTA_EXCEEDED unless so many bytes fit beside the owner's files */
export async function requireRoom({ config }: App, client: pg.ClientBase, owner: Owner, bytes: number): Promise<void> {
  const { rows } = await client.query<{ used: string }>(
    `select coalesce(sum(c.size), 0) as used from social.media m join social.media_contents c on c.id = m.content_id
     where m.owner_id = $1`,
    [owner.id],
  )
  const little = config.smtp !== null && !owner.verified
  const quota = little ? Math.min(UNVERIFIED_QUOTA, config.mediaQuota) : config.mediaQuota
  if (Number(rows[0]?.used) + bytes <= quota) return
  const help = 'Delete posts with media, or wait a day for what is not used'
  throw fail('MEDIA_QUOTA_EXCEEDED', little ? `Confirm your address to have more room. ${help}` : help)
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
