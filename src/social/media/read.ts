import { Readable } from 'node:stream'
import type pg from 'pg'
import { fail } from '../../errors.ts'
import { CHUNK_BYTES } from './chunks.ts'
import type { ByteRange } from './range.ts'

export type StoredMedia = { contentId: string; mime: string; extension: string; size: number; sha256: string }

/** @throws {AppError} MEDIA_NOT_FOUND */
export async function findMedia(pool: pg.Pool, id: string): Promise<StoredMedia> {
  const { rows } = await pool.query<StoredMedia>({
    name: 'find_media',
    text: `select c.id as "contentId", c.mime, c.extension, c.size, encode(c.sha256, 'hex') as sha256
           from social.media m join social.media_contents c on c.id = m.content_id where m.id = $1`,
    values: [id],
  })
  if (!rows[0]) throw fail('MEDIA_NOT_FOUND')
  return rows[0]
}

/** Reads one chunk ahead and holds no connection between chunks. A slow reader costs only the memory of one chunk. */
export function readContent(pool: pg.Pool, contentId: string, range: ByteRange): Readable {
  return Readable.from(chunksOf(pool, contentId, range), { objectMode: false, highWaterMark: 1 })
}

async function* chunksOf(pool: pg.Pool, contentId: string, { start, end }: ByteRange): AsyncGenerator<Buffer> {
  for (let from = start; from <= end; ) {
    const number = Math.floor(from / CHUNK_BYTES)
    const offset = from - number * CHUNK_BYTES
    const length = Math.min(end - from + 1, CHUNK_BYTES - offset)
    const { rows } = await pool.query<{ part: string }>({
      name: 'read_media_chunk',
      text: `select encode(substring(bytes from $3::int + 1 for $4::int), 'base64') as part from social.media_chunks
             where content_id = $1 and number = $2`,
      values: [contentId, number, offset, length],
    })
    // Reads base64, because the protocol's hexadecimal text needs half as much memory again.
    const bytes = Buffer.from(rows[0]?.part ?? '', 'base64')
    if (bytes.length !== length) throw new Error(`content ${contentId} was deleted while it was read`)
    yield bytes
    from += length
  }
}
