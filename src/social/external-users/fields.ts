import { type Static, Type } from '@sinclair/typebox'
import { ExternalId } from '../../protocol/id.ts'
import { Email, Username } from '../accounts/fields.ts'
import { Locale, TimeZone } from '../accounts/me-routes.ts'
import { DisplayName } from '../users/routes.ts'
import { User } from '../users/view.ts'

const orNull = <T extends ReturnType<typeof Type.String>>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]))
const closed = { additionalProperties: false }

export const profileFields = {
  username: Type.Optional(Username),
  displayName: Type.Optional(DisplayName),
  email: orNull(Email),
  emailVerified: Type.Optional(
    Type.Boolean({
      description:
        'The address belongs to the user, so mail may go there. A new address is not verified unless this is true',
    }),
  ),
  avatarUrl: orNull(
    Type.String({
      maxLength: 2000,
      pattern: '^https?://[\\x21-\\x7e]+$',
      description: 'URL of a picture hosted by your application',
    }),
  ),
  locale: orNull(Locale),
  timeZone: orNull(TimeZone),
}

/** A user's data from the application. An absent field stays unchanged; null removes it. */
export const ExternalProfile = Type.Object(profileFields, closed)
const OneUser = Type.Object({ externalId: ExternalId, ...profileFields }, closed)
export type ExternalUser = Static<typeof OneUser>

/** Maximum users per request. One transaction can write them without delaying others. */
const MAX_USERS = 1000
export const ExternalUsers = Type.Object({ users: Type.Array(OneUser, { minItems: 1, maxItems: MAX_USERS }) }, closed)

/** The view of an external user for services. Other users do not see the external id. */
export const ExternalUserView = Type.Composite([User, Type.Object({ externalId: ExternalId })])
export type ExternalUserView = Static<typeof ExternalUserView>
export const FoundUser = Type.Composite([User, Type.Object({ externalId: Type.Optional(ExternalId) })])
