import { type Static, Type } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import type { Kysely } from 'kysely'
import type { DB } from '../db/tables.ts'
import type { AppError } from '../errors.ts'

/**
 * Each role includes the previous ones. A reader reads everything below /admin, an operator also repairs, an admin may
 * do everything.
 */
const roles = ['user', 'reader', 'operator', 'admin'] as const
export const Role = Type.Union(roles.map((role) => Type.Literal(role)))
export type Role = (typeof roles)[number]
export type StaffRole = Exclude<Role, 'user'>

export const includesRole = (role: Role, needed: Role) => roles.indexOf(role) >= roles.indexOf(needed)

/** Parses a stored role. */
export const roleOf = (text: string): Role => roles.find((role) => role === text) ?? 'user'

/** The user of an access token; `expiresAt` in milliseconds since 1970. */
export type Identity = { userId: string; sessionId: string; role: Role; expiresAt: number }

const scopes = ['notifications:send', 'notifications:critical', 'users:write', 'webhooks'] as const
export const Scope = Type.Unsafe<(typeof scopes)[number]>({ type: 'string', enum: [...scopes] })
export type Scope = Static<typeof Scope>

/** A service that calls with its own token instead of a user. */
export type Service = { tokenId: string; scopes: string[] }

/** Checks access tokens and their sessions, for requests and for sockets. */
export type Sessions = {
  /**
   * The user of a token, ours or the identity provider's; otherwise the refusal: UNAUTHENTICATED, SESSION_ENDED,
   * USER_NOT_PROVISIONED, IDENTITY_PROVIDER_UNAVAILABLE. Does not look up the session of our own tokens.
   */
  identify(accessToken: string): Identity | AppError | Promise<Identity | AppError>
  /** False once the session is revoked or expired, or its user is deleted. Its access token may still be valid. */
  isLive(db: Kysely<DB>, sessionId: string): Promise<boolean>
}

/** In the body of a call that has `reauthenticates` in its config. It is removed before the handler runs. */
export const Reauthentication = {
  currentPassword: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 200,
      description: 'Password of the caller; required when the sign-in of the session is more than ten minutes old',
    }),
  ),
}

declare module '@fastify/jwt' {
  interface FastifyJWT {
    /** Type of `request.user`: the authenticated user. Not set on public routes. */
    user: Identity
  }
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** True: the route requires no access token. */
    public?: boolean
    /** Requires this role, or one that includes it. Each route of /admin names one. */
    role?: StaffRole
    /** Requires a service token with this scope, or `role`, by default admin. */
    service?: Scope
    /** Used with `service`: the route is also open to every signed-in user. */
    orUser?: boolean
    /** Requires a recent sign-in, or the password of the caller (`Reauthentication`). */
    reauthenticates?: boolean
  }
  interface FastifyRequest {
    /** The user of a valid token, on routes that require one. Rate limits use it; permissions use `user`. */
    identity: Identity | null
    /** Why the access token of this request is refused. */
    refusal: AppError | null
    /** The calling service, on routes open to services. `user` is not set then. */
    service: Service | null
  }
}

export function bearerToken(request: FastifyRequest): string | undefined {
  return /^Bearer +(\S.*)$/i.exec(request.headers.authorization ?? '')?.[1]
}
