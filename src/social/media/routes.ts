import multipart, { type Multipart, type MultipartValue } from '@fastify/multipart'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import type { App } from '../../app.ts'
import type { Config } from '../../config.ts'
import { fail } from '../../errors.ts'
import { answerOnce, IdempotencyHeader } from '../../http/idempotency.ts'
import { ifRange, noneMatch, parseRange } from './range.ts'
import { findMedia, readContent, type StoredMedia } from './read.ts'
import { beginUpload, endUpload } from './room.ts'
import { brokenUpload, dropUnowned, ownMedia, type Received, readPart, receiveMedia } from './upload.ts'
import { Media, MediaId } from './view.ts'

const DAY_SECONDS = 86_400
const MAX_ALT = 1000

const Params = Type.Object({ id: MediaId })
const File = Type.Object({
  file: Type.String({ format: 'binary', description: 'An image, audio or video' }),
  alt: Type.Optional(Type.String({ maxLength: MAX_ALT, description: 'Alternative text for people who cannot see it' })),
})
const bytes = (description: string) => ({
  description,
  content: { '*/*': { schema: Type.String({ format: 'binary' }) } },
})
const streamSchema = {
  params: Params,
  headers: Type.Object({
    range: Type.Optional(Type.String({ description: '`bytes=0-1023`; only one range' })),
    'if-none-match': Type.Optional(Type.String()),
    'if-range': Type.Optional(Type.String()),
  }),
  response: {
    200: bytes('The whole file'),
    206: bytes('The requested range'),
    304: { description: 'The copy of the client is current' },
  },
}

export function mediaRoutes(app: App): FastifyPluginAsyncTypebox {
  const { pool, config } = app
  return async (server) => {
    await server.register(multipart, {
      limits: { fileSize: config.mediaMaxSize, files: 1, fields: 1, fieldSize: 4 * MAX_ALT, parts: 2, headerPairs: 20 },
    })

    server.post(
      '/media/upload',
      {
        config: { rateLimit: 'upload' },
        // The handler streams the body and checks the schema's rules itself.
        validatorCompiler: () => () => true,
        // Discards the rest of a refused upload. Otherwise no one reads it, and the connection stays open.
        onResponse: async ({ raw }) => void raw.unpipe().resume(),
        schema: {
          tags: ['media'],
          summary: 'Upload an image, audio or video',
          description:
            'Multipart, with the field `file` and an optional `alt`. The type comes from the content; images lose their metadata except the orientation. A file that no post or profile uses is deleted after a day.',
          answers: { 201: 'The stored file' },
          errors: [
            'MEDIA_TOO_LARGE',
            'MEDIA_QUOTA_EXCEEDED',
            'MEDIA_STORAGE_FULL',
            'TOO_MANY_UPLOADS',
            'MEDIA_TYPE_NOT_ALLOWED',
          ],
          consumes: ['multipart/form-data'],
          headers: IdempotencyHeader,
          body: File,
          response: { 201: Media },
        },
      },
      async (request, reply) => {
        if (!request.isMultipart())
          throw fail('UNSUPPORTED_MEDIA_TYPE', 'Send multipart/form-data with the field `file`')
        const { userId } = request.user
        const uploadId = await beginUpload(app, userId, announcedBytes(request))
        try {
          const { content, alt } = await receive(app, request)
          // The Idempotency-Key compares this body, in the form of the schema.
          request.body = { file: content.sha256.toString('hex'), ...(alt !== null && { alt }) }
          return await answerOnce(pool, request, reply, 201, (trx) =>
            ownMedia(app, trx, { ownerId: userId, uploadId, alt }, content),
          ).finally(() => dropUnowned(app, content.contentId))
        } finally {
          await endUpload(app, uploadId)
        }
      },
    )

    // Own HEAD routes: this handler does not read the file for HEAD, but Fastify's would.
    for (const [method, summary] of [
      ['GET', 'Get a file, or a range of it'],
      ['HEAD', 'Get the headers of a file'],
    ] as const)
      server.route({
        method,
        exposeHeadRoute: false,
        url: '/media/:id/stream',
        config: { public: true, rateLimit: 'media' },
        schema: {
          tags: ['media'],
          summary,
          description:
            'Public and cacheable. Supports `Range`, `If-Range` and `If-None-Match`; never rendered as a page.',
          errors: ['MEDIA_NOT_FOUND', 'RANGE_NOT_SATISFIABLE'],
          ...streamSchema,
        },
        handler: async ({ params, headers }, reply) => {
          const media = await findMedia(pool, params.id)
          const etag = `"${media.sha256}"`
          reply.headers({ etag, 'cache-control': `public, max-age=${DAY_SECONDS}, immutable`, ...safety(config) })
          if (!noneMatch(headers['if-none-match'], etag)) return reply.code(304).send()

          const asked =
            method === 'GET' && ifRange(headers['if-range'], etag) ? parseRange(headers.range, media.size) : undefined
          reply.header('accept-ranges', 'bytes')
          if (asked === 'unsatisfiable') {
            reply.header('content-range', `bytes */${media.size}`)
            throw fail('RANGE_NOT_SATISFIABLE', `The file has ${media.size} bytes`)
          }
          const { start, end } = asked ?? { start: 0, end: media.size - 1 }
          if (asked) reply.code(206).header('content-range', `bytes ${start}-${end}/${media.size}`)
          reply.headers({ ...description(params.id, media), 'content-length': end - start + 1 })
          return reply.send(method === 'HEAD' ? null : readContent(pool, media.contentId, { start, end }))
        },
      })
  }
}

/** Accepts the file and its text in any order. */
async function receive(app: App, request: FastifyRequest): Promise<{ content: Received; alt: string | null }> {
  let content: Received | undefined
  let alt: string | null = null
  try {
    for await (const part of partsOf(request)) {
      if (part.type === 'file' && part.fieldname === 'file') content = await receiveMedia(app, readPart(part.file))
      else if (part.type === 'field' && part.fieldname === 'alt') alt = cleanAlt(part)
      else throw fail('VALIDATION_FAILED', `Unknown field \`${part.fieldname}\``, { pointer: '/' })
    }
    if (!content) throw fail('VALIDATION_FAILED', 'The field `file` contains no file', { pointer: '/file' })
    return { content, alt }
  } catch (error) {
    if (content) await dropUnowned(app, content.contentId)
    throw error
  }
}

async function* partsOf(request: FastifyRequest): AsyncGenerator<Multipart, void> {
  try {
    yield* request.parts()
  } catch (error) {
    throw brokenUpload(error)
  }
}

/** @throws {AppError} VALIDATION_FAILED */
function cleanAlt({ value, valueTruncated }: MultipartValue): string | null {
  const alt = String(value).trim()
  if (valueTruncated || [...alt].length > MAX_ALT)
    throw fail('VALIDATION_FAILED', `must NOT have more than ${MAX_ALT} characters`, { pointer: '/alt' })
  if (!alt.isWellFormed() || alt.includes('\0'))
    throw fail('VALIDATION_FAILED', 'must not contain invalid characters', { pointer: '/alt' })
  return alt || null
}

function announcedBytes({ headers }: FastifyRequest): number | undefined {
  const length = headers['content-length']
  return length === undefined ? undefined : Number(length)
}

function description(id: string, { mime, extension }: StoredMedia) {
  return { 'content-type': mime, 'content-disposition': `attachment; filename="${id}.${extension}"` }
}

/**
 * Browsers save a directly opened file and never render it. Pages of allowed origins may show it in `<img>` and similar
 * elements.
 */
function safety({ allowedOrigins }: Config) {
  return {
    'content-security-policy': "default-src 'none'; sandbox",
    'cross-origin-resource-policy': allowedOrigins.length > 0 ? 'cross-origin' : 'same-origin',
  }
}
