import { createHash, randomBytes } from 'node:crypto'
import { type Static, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { createSigner, createVerifier } from 'fast-jwt'
import { type Kysely, sql } from 'kysely'
import type { Config } from '../config.ts'
import type { DB } from '../db/tables.ts'

export const Role = Type.Union([Type.Literal('user'), Type.Literal('admin')])
export type Role = Static<typeof Role>

/** Who speaks, as the access token says; `expiresAt` in milliseconds since 1970. */
export type Identity = { userId: string; sessionId: string; role: Role; expiresAt: number }

const Claims = Type.Object({ sub: Type.String(), sid: Type.String(), role: Role, exp: Type.Integer() })
const claims = TypeCompiler.Compile(Claims)

/** A JWT (RFC 7519) signed with HS256 that lives for `accessTokenTtl` seconds. */
export function signAccessToken(config: Config, { userId, sessionId, role }: Omit<Identity, 'expiresAt'>): string {
  const exp = Math.floor(Date.now() / 1000) + config.accessTokenTtl
  return signerOf(config)({ sub: userId, sid: sessionId, role, exp })
}

/** Null for a token that is malformed, forged or expired. Does not look the session up: see `sessionIsLive`. */
export function verifyAccessToken(config: Config, token: string): Identity | null {
  const payload = verified(config, token)
  if (!claims.Check(payload)) return null
  return { userId: payload.sub, sessionId: payload.sid, role: payload.role, expiresAt: payload.exp * 1000 }
}

/** False once the session was revoked, ran out, or its user was deleted; its access token may still be valid then. */
export async function sessionIsLive(db: Kysely<DB>, sessionId: string): Promise<boolean> {
  const { rows } = await sql`
    select from social.sessions where id = ${sessionId}::bigint and revoked_at is null and expires_at > now()
  `.execute(db)
  return rows.length > 0
}

/** 256 random bits; only its hash is stored. */
export function newRefreshToken(): string {
  return randomBytes(32).toString('base64url')
}

export function hashRefreshToken(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}

type Keys = { sign: (payload: object) => string; verify: (token: string) => unknown }
const keysBySecret = new Map<string, Keys>()

function keysOf({ jwtSecret }: Config): Keys {
  const known = keysBySecret.get(jwtSecret)
  if (known) return known
  const keys = {
    sign: createSigner({ key: jwtSecret, algorithm: 'HS256' }),
    verify: createVerifier({ key: jwtSecret, algorithms: ['HS256'], cache: true }),
  }
  keysBySecret.set(jwtSecret, keys)
  return keys
}

function signerOf(config: Config): Keys['sign'] {
  return keysOf(config).sign
}

function verified(config: Config, token: string): unknown {
  try {
    return keysOf(config).verify(token)
  } catch {
    return null
  }
}
