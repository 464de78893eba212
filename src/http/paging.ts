import { createHmac } from 'node:crypto'
import { type TSchema, Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { keyFor, sameBytes } from '../base/signing.ts'
import type { Config } from '../config.ts'
import { fail } from '../errors.ts'
import { textOrNull } from '../protocol/nullable.ts'

const Limit = Type.Integer({ minimum: 1, maximum: 100, default: 20, description: 'Items of a page' })

const Cursor = Type.String({ maxLength: 200, description: '`nextCursor` of the previous page' })

export const PageQuery = Type.Object(
  { limit: Type.Optional(Limit), cursor: Type.Optional(Cursor) },
  { additionalProperties: false },
)

/** Query of a list whose sort key contains text: its cursors are longer. */
export const TextPageQuery = Type.Object(
  { limit: Type.Optional(Limit), cursor: Type.Optional(Type.String({ ...Cursor, maxLength: 1000 })) },
  { additionalProperties: false },
)

export function pageOf<T extends TSchema>(item: T) {
  return Type.Object({ items: Type.Array(item), nextCursor: textOrNull('`cursor` of the next page; null on the last') })
}

/** Encodes the sort key of a page's last item. Opaque to clients, but not secret; cursors.ts seals it. */
export function encodeCursor(key: (string | number)[]): string {
  return Buffer.from(key.join(',')).toString('base64url')
}

/**
 * The decimal integers of a cursor, null without one.
 * @throws {AppError} BAD_CURSOR unless it contains exactly `parts` integers
 */
export function decodeCursor(cursor: string | undefined, parts: number): string[] | null {
  if (cursor === undefined) return null
  const key = Buffer.from(cursor, 'base64url').toString('latin1').split(',')
  if (key.length !== parts || !key.every((part) => /^\d{1,18}$/.test(part))) throw fail('BAD_CURSOR')
  return key
}

/** A sort key that contains text, for `encodeCursor`. Null is an empty text. */
export function textKey(key: unknown[]): string[] {
  return key.map((part) => encodeURIComponent(String(part ?? '')))
}

/**
 * The parts of a cursor that contains text, null without one.
 * @throws {AppError} BAD_CURSOR
 */
export function decodeTextCursor(cursor: string | undefined): string[] | null {
  if (cursor === undefined) return null
  try {
    return Buffer.from(cursor, 'base64url').toString('latin1').split(',').map(decodeURIComponent)
  } catch {
    throw fail('BAD_CURSOR')
  }
}

/** Cuts a result that was read with `limit + 1` rows to one page. */
export function cutPage<T>(
  rows: T[],
  limit: number,
  keyOf: (last: T) => (string | number)[],
): { items: T[]; nextCursor: string | null } {
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  return { items, nextCursor: rows.length > limit && last ? encodeCursor(keyOf(last)) : null }
}

const SEAL_BYTES = 12

/**
 * Seals each outgoing `nextCursor` for this user and list, and refuses a `cursor` without a valid seal: invented,
 * changed, or from another list or user. Features see their own unsealed cursors.
 */
export function sealCursors(server: FastifyInstance, { jwtSecret, jwtSecretPrevious }: Config): void {
  const keys = [jwtSecret, jwtSecretPrevious]
    .filter((secret) => secret !== undefined)
    .map((secret) => keyFor(secret, 'cursors'))
  const [newest = keyFor('', 'cursors')] = keys

  server.addHook('preHandler', (request, _reply, done) => {
    const { query } = request
    if (!isObject(query) || typeof query.cursor !== 'string') return done()
    const cursor = query.cursor.slice(0, -sealLength)
    const seal = Buffer.from(query.cursor.slice(-sealLength))
    if (!keys.some((key) => sameBytes(seal, Buffer.from(sealOf(key, request, cursor))))) return done(fail('BAD_CURSOR'))
    query.cursor = cursor
    done()
  })

  server.addHook('preSerialization', (request, _reply, payload, done) => {
    if (!isObject(payload) || typeof payload.nextCursor !== 'string') return done(null, payload)
    const { nextCursor } = payload
    done(null, { ...payload, nextCursor: nextCursor + sealOf(newest, request, nextCursor) })
  })
}

const sealLength = Math.ceil((SEAL_BYTES * 4) / 3)

function sealOf(key: Buffer, { routeOptions, identity }: FastifyRequest, cursor: string): string {
  const sealed = JSON.stringify([routeOptions.url, identity?.userId, cursor])
  return createHmac('sha256', key).update(sealed).digest().subarray(0, SEAL_BYTES).toString('base64url')
}

function isObject(value: unknown): value is Record<string, unknown> {
  return value !== null && typeof value === 'object'
}
