import { createHash, randomBytes } from 'node:crypto'
import type { Readable } from 'node:stream'
import { fileTypeFromBuffer } from 'file-type'
import type pg from 'pg'
import type { App } from '../../app.ts'
import type { Queryable } from '../../db/client.ts'
import { build, run } from '../../db/kysely.ts'
import { lockName } from '../../db/named-lock.ts'
import { AppError, fail } from '../../errors.ts'
import { CHUNK_BYTES, inChunks } from './chunks.ts'
import { clean } from './clean.ts'
import { type Dimensions, dimensionsOf } from './dimensions.ts'
import { lockOwner, requireRoom } from './room.ts'
import type { Media } from './view.ts'

/** A file with stored chunks. It has no owner until `ownMedia` commits. */
export type Received = {
  contentId: string
  sha256: Buffer
  size: number
  mime: string
  dimensions: Dimensions | null
}

/**
 * Stores a file as it arrives, without its metadata, one chunk per statement. So a slow client does not occupy a
 * connection. Afterwards the caller must call `dropUnowned`, whatever happens.
 * @throws {AppError} MEDIA_TYPE_NOT_ALLOWED, and the errors of reading `file`
 */
export async function receiveMedia(app: App, file: AsyncIterable<Buffer>): Promise<Received> {
  const { start, whole } = await peek(file)
  const type = await mediaTypeOf(start)
  if (!type) throw fail('MEDIA_TYPE_NOT_ALLOWED')
  const chunks = inChunks(clean(type.mime, whole), CHUNK_BYTES)
  const contentId = await beginContent(app.pool, type)
  try {
    return { contentId, mime: type.mime, ...(await storeChunks(app.pool, contentId, type.mime, chunks)) }
  } catch (error) {
    await dropUnowned(app, contentId)
    throw error
  }
}

/** The first bytes of a file, enough to detect its type, and the whole file. */
async function peek(file: AsyncIterable<Buffer>): Promise<{ start: Buffer; whole: AsyncIterable<Buffer> }> {
  const pieces = file[Symbol.asyncIterator]()
  const first: Buffer[] = []
  for (let size = 0; size < CHUNK_BYTES; ) {
    const { done, value } = await pieces.next()
    if (done) break
    first.push(value)
    size += value.length
  }
  async function* whole() {
    yield* first
    yield* { [Symbol.asyncIterator]: () => pieces }
  }
  return { start: Buffer.concat(first), whole: whole() }
}

/** Removes a received file without an owner. If this fails, the clean-up finds it after an hour. */
export async function dropUnowned({ pool, log }: App, contentId: string): Promise<void> {
  await deleteContent(pool, contentId).catch((err) =>
    log.warn({ err }, 'cannot remove an unfinished upload; the clean-up removes it later'),
  )
}

async function mediaTypeOf(start: Buffer): Promise<{ mime: string; ext: string } | undefined> {
  const type = await fileTypeFromBuffer(start).catch(() => undefined)
  const mime = type?.mime.split(';', 1)[0] ?? ''
  return type && allowed.has(mime) ? { mime, ext: type.ext } : undefined
}

/**
 * Types that browsers show and play. HEIC and raw pictures are excluded, because their metadata is not removed here.
 */
const allowed = new Set([
  ...['jpeg', 'png', 'apng', 'webp', 'gif', 'avif'].map((name) => `image/${name}`),
  ...['mp4', 'quicktime', 'x-m4v', '3gpp', 'webm', 'ogg'].map((name) => `video/${name}`),
  ...['mpeg', 'mp4', 'x-m4a', 'aac', 'ogg', 'flac', 'wav'].map((name) => `audio/${name}`),
])

async function beginContent(pool: pg.Pool, { mime, ext }: { mime: string; ext: string }): Promise<string> {
  const { rows } = await run(
    pool,
    build.insertInto('social.mediaContents').values({ mime, extension: ext }).returning('id'),
  )
  if (!rows[0]) throw new Error('the insert returned no row')
  return rows[0].id
}

async function storeChunks(pool: pg.Pool, contentId: string, mime: string, chunks: AsyncIterable<Buffer>) {
  const hash = createHash('sha256')
  let [number, size] = [0, 0]
  let dimensions: Dimensions | null = null
  for await (const bytes of chunks) {
    if (number === 0) dimensions = dimensionsOf(mime, bytes)
    hash.update(bytes)
    size += bytes.length
    await pool.query({
      name: 'store_media_chunk',
      text: 'insert into social.media_chunks (content_id, number, bytes) values ($1, $2, $3)',
      values: [contentId, number++, bytes],
    })
  }
  return { sha256: hash.digest(), size, dimensions }
}

/**
 * Gives a received file to its owner, in the caller's transaction. Identical files are stored once. Serialises the
 * uploads of a user, so that together they respect the quota.
 * @throws {AppError} UNAUTHENTICATED, MEDIA_QUOTA_EXCEEDED
 */
export async function ownMedia(
  app: App,
  client: pg.ClientBase,
  { ownerId, uploadId, alt }: { ownerId: string; uploadId: string; alt: string | null },
  content: Received,
): Promise<Media> {
  const owner = await lockOwner(client, ownerId)
  await requireRoom(app, client, owner, content.size)
  const contentId = await keepOnce(client, content)
  const id = randomBytes(16).toString('base64url')
  await run(client, build.insertInto('social.media').values({ id, ownerId, contentId, alt }))
  // Ends the reservation in the same transaction, so that after the answer the quota is up to date.
  await run(client, build.deleteFrom('social.mediaUploads').where('id', '=', uploadId))
  const { mime, size, sha256, dimensions } = content
  return { id, mime, size, sha256: sha256.toString('hex'), ...dimensions, ...(alt !== null && { alt }) }
}

/** When two uploads of one file end together, the second waits and finds the stored file of the first. */
async function keepOnce(client: pg.ClientBase, { contentId, sha256, size, dimensions }: Received): Promise<string> {
  await lockName(client, `media:${sha256.toString('hex')}`)
  const { rows } = await run(
    client,
    build.selectFrom('social.mediaContents').select('id').where('sha256', '=', sha256).forKeyShare(),
  )
  if (rows[0]) {
    await deleteContent(client, contentId)
    return rows[0].id
  }
  await run(
    client,
    build
      .updateTable('social.mediaContents')
      .set({ sha256, size, width: dimensions?.width ?? null, height: dimensions?.height ?? null })
      .where('id', '=', contentId),
  )
  return contentId
}

function deleteContent(db: Queryable, contentId: string) {
  return run(db, build.deleteFrom('social.mediaContents').where('id', '=', contentId).where('sha256', 'is', null))
}

/** An error while reading a body is the client's fault, unless it has an error code of ours. */
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
    : fail('VALIDATION_FAILED', 'The upload is malformed or was interrupted', { cause })
}
