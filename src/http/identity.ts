import { type Static, Type } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import type { Kysely } from 'kysely'
import type { DB } from '../db/tables.ts'
import type { AppError } from '../errors.ts'

/** Each role includes those before it. A reader reads everything of /admin, an operator also repairs, an admin does all. */
const roles = ['user', 'reader', 'operator', 'admin'] as const
export const Role = Type.Union(roles.map((role) => Type.Literal(role)))
export type Role = (typeof roles)[number]
export type StaffRole = Exclude<Role, 'user'>

export const includesRole = (role: Role, needed: Role) => roles.indexOf(role) >= roles.indexOf(needed)

/** Of a stored role. */
export const roleOf = (text: string): Role => roles.find((role) => role === text) ?? 'user'

/** The user of an access token; `expiresAt` in milliseconds since 1970. */
export type Identity = { userId: string; sessionId: string; role: Role; expiresAt: number }

const scopes = ['notifications:send', 'notifications:critical', 'users:write', 'webhooks'] as const
export const Scope = Type.Unsafe<(typeof scopes)[number]>({ type: 'string', enum: [...scopes] })
export type Scope = Static<typeof Scope>

/** A service that calls with a token of its own, in place of a user. */
export type Service = { tokenId: string; scopes: string[] }

/** Checks access tokens and their sessions, for requests and for sockets. */
export type Sessions = {
  /**
   * The user of a token, ours or the identity provider's; otherwise why it is refused: UNAUTHENTICATED, SESSION_ENDED,
   * USER_NOT_PROVISIONED, IDENTITY_PROVIDER_UNAVAILABLE. The session of a token of ours is not looked up.
   */
  identify(accessToken: string): Identity | AppError | Promise<Identity | AppError>
  /** False once the session was revoked, ran out, or its user was deleted; its access token may still be valid then. */
  isLive(db: Kysely<DB>, sessionId: string): Promise<boolean>
}

declare module '@fastify/jwt' {
  interface FastifyJWT {
    /** Type of `request.user`: the authenticated user. Not set on public routes. */
    user: Identity
  }
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Needs no access token. */
    public?: boolean
    /** Needs this role, or one that includes it. Each route of /admin names one. */
    role?: StaffRole
    /** Needs a service token with this scope, or `role`, by default admin. */
    service?: Scope
    /** With `service`: open to every signed-in user too. */
    orUser?: boolean
  }
  interface FastifyRequest {
    /** The user of a valid token, on routes that need one. Rate limits count by it; permissions go by `user`. */
    identity: Identity | null
    /** Why the access token of this request is refused. */
    refusal: AppError | null
    /** The service that calls, on routes that are open to services; there is no `user` then. */
    service: Service | null
  }
}

export function bearerToken(request: FastifyRequest): string | undefined {
  return /^Bearer +(\S.*)$/i.exec(request.headers.authorization ?? '')?.[1]
}
