import { createHash } from 'node:crypto'
import type { Socket } from 'node:net'
import { Readable } from 'node:stream'
import pg from 'pg'
import { test } from 'tap'
import { CHUNK_BYTES } from '../../../src/social/media/chunks.ts'
import { findMedia, readContent } from '../../../src/social/media/read.ts'
import { dropUnowned, receiveMedia } from '../../../src/social/media/upload.ts'
import { eventually, setup } from '../../setup.ts'
import { picture, sha256, upload, uploaded } from './files.ts'

const MIB = 1024 * 1024
const PIECE_BYTES = 64 * 1024

test('50 MiB are uploaded and downloaded within bounded memory', async (t) => {
  const { url, as } = await setup(t)
  const bytes = picture(50 * MIB)
  const { status, body } = await upload(url, await as('ana'), bytes)
  t.match({ status, body }, { status: 201, body: { size: 50 * MIB } })
  const { body: stream } = await fetch(`${url}/media/${body.id}/stream`)
  const hash = createHash('sha256')
  if (stream) for await (const part of Readable.fromWeb(stream as never)) hash.update(part)
  t.equal(hash.digest('hex'), sha256(bytes))
})

test('while a chunk is stored, only the next piece of the file is read', async (t) => {
  const { app } = await setup(t)
  const bytes = picture(4 * MIB)
  let read = 0
  async function* pieces() {
    for (let from = 0; from < bytes.length; from += PIECE_BYTES) {
      const piece = bytes.subarray(from, from + PIECE_BYTES)
      read += piece.length
      yield piece
    }
  }
  let most = 0
  let stored = 0
  const query = app.pool.query
  t.intercept(app.pool, 'query', {
    value: async (...args: Parameters<typeof query>) => {
      const isChunk = Object(args[0]).name === 'store_media_chunk'
      if (isChunk) most = Math.max(most, read - stored)
      const answer = await query.apply(app.pool, args)
      if (isChunk) stored += CHUNK_BYTES
      if (isChunk) most = Math.max(most, read - stored + CHUNK_BYTES)
      return answer
    },
  })
  const { contentId, size } = await receiveMedia(app, pieces())
  await dropUnowned(app, contentId)
  t.equal(size, bytes.length)
  t.ok(stored >= bytes.length)
  t.ok(most <= CHUNK_BYTES + PIECE_BYTES, `${most} bytes of the file were held`)
})

test('slow storage slows the upload down', async (t) => {
  const { url, as, server, databaseUrl } = await setup(t)
  const sockets: Socket[] = []
  server.server.on('connection', (socket: Socket) => sockets.push(socket))
  const ana = await as('ana')
  const holder = new pg.Client({ connectionString: databaseUrl })
  await holder.connect()
  t.teardown(() => holder.end())
  await holder.query('begin')
  await holder.query('lock table social.media_chunks in share mode')
  const answer = upload(url, ana, picture(40 * MIB))
  let [before, sameFor] = [0, 0]
  await eventually(() => {
    const read = sockets.reduce((sum, socket) => sum + socket.bytesRead, 0)
    sameFor = read > CHUNK_BYTES && read === before ? sameFor + 1 : 0
    before = read
    return sameFor === 10
  })
  t.ok(before < 8 * CHUNK_BYTES, `${before} bytes were read`)
  await holder.query('rollback')
  t.equal((await answer).status, 201)
})

test('a download that the client does not read is read one chunk ahead', async (t) => {
  const { app, url, as } = await setup(t)
  const bytes = picture(4 * MIB)
  const media = await findMedia(app.pool, await uploaded(url, await as('ana'), bytes))
  let chunks = 0
  const query = app.pool.query
  t.intercept(app.pool, 'query', {
    value: (...args: Parameters<typeof query>) => {
      if (Object(args[0]).name === 'read_media_chunk') chunks += 1
      return query.apply(app.pool, args)
    },
  })
  const stream = readContent(app.pool, media.contentId, { start: 0, end: media.size - 1 })
  const parts: Buffer[] = []
  for await (const part of stream) {
    parts.push(part)
    t.ok(chunks <= parts.length + 2, `${chunks} chunks were read for ${parts.length}`)
  }
  t.ok(bytes.equals(Buffer.concat(parts)))
})
