import { createHash, randomBytes } from 'node:crypto'
import type { Readable } from 'node:stream'
import { fileTypeFromBuffer } from 'file-type'
import type pg from 'pg'
import type { App } from '../app.ts'
import { AppError, fail } from '../errors.ts'
import { CHUNK_BYTES, inChunks } from './chunks.ts'
import type { Media } from './view.ts'

/** A file whose chunks are stored; until `ownMedia` has committed, it is nobody's. */
export type Received = { contentId: string; sha256: Buffer; size: number; mime: string }

/**
 * Stores a file as it arrives, a chunk at a time and each in a statement of its own: while the client is slow, no connection
 * waits with it. Whatever happens then, `dropUnowned` has to be called with it.
 * @throws {AppError} MEDIA_TYPE_NOT_ALLOWED, MEDIA_QUOTA_EXCEEDED, and what reading `file` throws
 */
export async function receiveMedia(app: App, ownerId: string, file: AsyncIterable<Buffer>): Promise<Received> {
  await requireRoom(app, app.pool, ownerId, 1)
  const chunks = inChunks(file, CHUNK_BYTES)
  const first = await chunks.next()
  const type = first.done ? undefined : await mediaTypeOf(first.value)
  if (first.done || !type) throw fail('MEDIA_TYPE_NOT_ALLOWED')
  const contentId = await beginContent(app.pool, type)
  try {
    return { contentId, mime: type.mime, ...(await storeChunks(app.pool, contentId, first.value, chunks)) }
  } catch (error) {
    await dropUnowned(app, contentId)
    throw error
  }
}

/** Removes what was received and became nobody's. Were this to fail, the clean-up finds it in an hour. */
export async function dropUnowned({ pool, log }: App, contentId: string): Promise<void> {
  await deleteContent(pool, contentId).catch((err) => log.warn({ err }, 'a broken upload stays for a while'))
}

async function mediaTypeOf(start: Buffer): Promise<{ mime: string; ext: string } | undefined> {
  const type = await fileTypeFromBuffer(start).catch(() => undefined)
  return type && /^(image|audio|video)\/(?!svg)/.test(type.mime) ? type : undefined
}

async function beginContent(pool: pg.Pool, { mime, ext }: { mime: string; ext: string }): Promise<string> {
  const { rows } = await pool.query<{ id: string }>(
    'insert into social.media_contents (mime, extension) values ($1, $2) returning id',
    [mime, ext],
  )
  if (!rows[0]) throw new Error('the insert returned no row')
  return rows[0].id
}

async function storeChunks(pool: pg.Pool, contentId: string, first: Buffer, others: AsyncIterable<Buffer>) {
  const hash = createHash('sha256')
  let [number, size] = [0, 0]
  const store = async (bytes: Buffer) => {
    hash.update(bytes)
    size += bytes.length
    await pool.query({
      name: 'store_media_chunk',
      text: 'insert into social.media_chunks (content_id, number, bytes) values ($1, $2, $3)',
      values: [contentId, number++, bytes],
    })
  }
  await store(first)
  for await (const chunk of others) await store(chunk)
  return { sha256: hash.digest(), size }
}

/**
 * Makes a file that was received a medium of its owner, in the caller's transaction; one that is there already is kept once.
 * Uploads of one user come one after the other here, so that together they keep the quota.
 * @throws {AppError} UNAUTHENTICATED, MEDIA_QUOTA_EXCEEDED
 */
export async function ownMedia(app: App, client: pg.ClientBase, ownerId: string, content: Received): Promise<Media> {
  const { rowCount } = await client.query(
    'select from social.users where id = $1 and deleted_at is null for no key update',
    [ownerId],
  )
  if (rowCount === 0) throw fail('UNAUTHENTICATED')
  await requireRoom(app, client, ownerId, content.size)
  const contentId = await keepOnce(client, content)
  const id = randomBytes(16).toString('base64url')
  await client.query('insert into social.media (id, owner_id, content_id) values ($1, $2, $3)', [
    id,
    ownerId,
    contentId,
  ])
  return { id, mime: content.mime, size: content.size, sha256: content.sha256.toString('hex') }
}

/** Two uploads of one file that end together: the second waits, and finds what the first has stored. */
async function keepOnce(client: pg.ClientBase, { contentId, sha256, size }: Received): Promise<string> {
  await client.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [`media:${sha256.toString('hex')}`])
  const { rows } = await client.query<{ id: string }>(
    'select id from social.media_contents where sha256 = $1 for key share',
    [sha256],
  )
  if (rows[0]) {
    await deleteContent(client, contentId)
    return rows[0].id
  }
  await client.query('update social.media_contents set sha256 = $2, size = $3 where id = $1', [contentId, sha256, size])
  return contentId
}

async function requireRoom({ config }: App, db: Pick<pg.ClientBase, 'query'>, ownerId: string, size: number) {
  const { rows } = await db.query<{ used: string }>(
    `select coalesce(sum(c.size), 0) as used from social.media m join social.media_contents c on c.id = m.content_id
     where m.owner_id = $1`,
    [ownerId],
  )
  if (Number(rows[0]?.used) + size > config.mediaQuota)
    throw fail('MEDIA_QUOTA_EXCEEDED', 'Delete posts with media, or wait a day for what is not used')
}

function deleteContent(db: Pick<pg.ClientBase, 'query'>, contentId: string) {
  return db.query('delete from social.media_contents where id = $1 and sha256 is null', [contentId])
}

/** What goes wrong while a body is read is the client's doing, unless it has a code of ours. */
export async function* readPart(part: Readable & { truncated: boolean }): AsyncGenerator<Buffer> {
  try {
    yield* part
    if (part.truncated) throw fail('MEDIA_TOO_LARGE')
  } catch (error) {
    throw brokenUpload(error)
  }
}

export function brokenUpload(cause: unknown): AppError {
  if (cause instanceof AppError) return cause
  const tooLarge = cause instanceof Error && 'code' in cause && cause.code === 'FST_REQ_FILE_TOO_LARGE'
  return tooLarge
    ? fail('MEDIA_TOO_LARGE', undefined, { cause })
    : fail('VALIDATION_FAILED', 'The upload is malformed, or broke off', { cause })
}
