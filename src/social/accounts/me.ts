import { type Static, Type } from '@sinclair/typebox'
import type { App } from '../../app.ts'
import { fail } from '../../errors.ts'
import { Role, roleOf } from '../../http/identity.ts'
import { textOrNull } from '../../protocol/nullable.ts'
import { findUser, User } from '../users/view.ts'

const Nullable = (description: string, examples?: (string | null)[]) =>
  textOrNull(description, examples && { examples })

/** The private view of a user, visible only to that user. */
export const Me = Type.Composite([
  User,
  Type.Object({
    email: Nullable('Null: unknown, of a user of another application'),
    emailVerified: Type.Boolean({ description: 'Whether the user confirmed the address' }),
    pendingEmail: Nullable('Address that replaces email once it is verified', [null]),
    role: Type.Unsafe<Role>({ ...Role, description: 'Rights below /admin; user: none' }),
    locale: Nullable('BCP 47 tag, for example pt-BR', ['en']),
    timeZone: Nullable('IANA time zone, for example Europe/Berlin'),
  }),
])
export type Me = Static<typeof Me>

/** @throws {AppError} UNAUTHENTICATED when the account was deleted */
export async function findMe({ pool, db }: App, userId: string): Promise<Me> {
  const user = await findUser(pool, userId, userId)
  const own = await db
    .selectFrom('social.users')
    .select(['email', 'emailVerifiedAt', 'newEmail as pendingEmail', 'role', 'locale', 'timeZone'])
    .where('id', '=', userId)
    .where('deletedAt', 'is', null)
    .executeTakeFirst()
  if (!user || !own) throw fail('UNAUTHENTICATED', 'The account was deleted')
  const { emailVerifiedAt, role, ...others } = own
  return { ...user, ...others, emailVerified: emailVerifiedAt !== null, role: roleOf(role) }
}
