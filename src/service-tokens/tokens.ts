import { createHash, randomBytes } from 'node:crypto'
import { type Static, Type } from '@sinclair/typebox'
import type pg from 'pg'

export const Scope = Type.Literal('notifications:send')
export type Scope = Static<typeof Scope>

/** A service that calls with a token of its own, in place of a user. */
export type Service = { tokenId: string; scopes: string[] }

const PREFIX = 'rp_'

/** 256 random bits behind a prefix by which scanners find leaked ones; only the hash is stored. */
export function newServiceToken(): { token: string; hash: Buffer } {
  const token = PREFIX + randomBytes(32).toString('base64url')
  return { token, hash: hashOf(token) }
}

/** Null for a token that is unknown or revoked. Asks the database each time, so that a revoked one ends at once. */
export async function findService(pool: pg.Pool, token: string): Promise<Service | null> {
  if (!token.startsWith(PREFIX)) return null
  const { rows } = await pool.query<Service>({
    name: 'find_service',
    text: `select id as "tokenId", scopes from social.service_tokens where token_hash = $1 and revoked_at is null`,
    values: [hashOf(token)],
  })
  return rows[0] ?? null
}

function hashOf(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}
