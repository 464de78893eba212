import { Value } from '@sinclair/typebox/value'
import { type ExternalUser, profileFields } from '../external-users/fields.ts'

type Profile = Omit<ExternalUser, 'externalId'>

/** The valid standard claims of OpenID Connect (Core 1.0, 5.1) in a token. */
export function profileOf(claims: Record<string, unknown>): Profile {
  const given: Record<keyof Profile, unknown> = {
    username: usernameOf(claims.preferred_username ?? claims.nickname),
    displayName: claims.name,
    email: claims.email,
    emailVerified: claims.email_verified,
    avatarUrl: claims.picture,
    locale: typeof claims.locale === 'string' ? claims.locale.replaceAll('_', '-') : undefined,
    timeZone: claims.zoneinfo,
  }
  return Object.fromEntries(
    Object.entries(given).filter(
      ([name, value]) =>
        value !== null && value !== undefined && Value.Check(profileFields[name as keyof Profile], value),
    ),
  )
}

/**
 * Makes a username from the claims. Drops characters that usernames cannot contain, and ignores mail addresses, because
 * usernames are public.
 */
function usernameOf(name: unknown): string | undefined {
  if (typeof name !== 'string' || name.includes('@')) return undefined
  return name
    .toLowerCase()
    .replace(/[^a-z0-9_]+/g, '_')
    .slice(0, 30)
}
