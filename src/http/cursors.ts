import { createHmac } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { keyFor, sameBytes } from '../base/signing.ts'
import type { Config } from '../config.ts'
import { fail } from '../errors.ts'

const SEAL_BYTES = 12

/**
 * Seals each `nextCursor` that goes out, for this user and this list, and refuses a `cursor` that comes back without its seal:
 * one that was made up, changed, taken from another list or from another user. Features see the cursors they have made.
 */
export function sealCursors(server: FastifyInstance, { jwtSecret, jwtSecretPrevious }: Config): void {
  const keys = [jwtSecret, jwtSecretPrevious]
    .filter((secret) => secret !== undefined)
    .map((secret) => keyFor(secret, 'cursors'))
  const [newest = keyFor('', 'cursors')] = keys

  server.addHook('preHandler', async (request) => {
    const { query } = request
    if (!isObject(query) || typeof query.cursor !== 'string') return
    const cursor = query.cursor.slice(0, -sealLength)
    const seal = Buffer.from(query.cursor.slice(-sealLength))
    if (!keys.some((key) => sameBytes(seal, Buffer.from(sealOf(key, request, cursor))))) throw fail('BAD_CURSOR')
    query.cursor = cursor
  })

  server.addHook('preSerialization', async (request, _reply, payload) => {
    if (!isObject(payload) || typeof payload.nextCursor !== 'string') return payload
    const { nextCursor } = payload
    return { ...payload, nextCursor: nextCursor + sealOf(newest, request, nextCursor) }
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
