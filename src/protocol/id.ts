import { Type } from '@sinclair/typebox'

/** A decimal id that fits a bigint. */
export const Id = Type.String({ pattern: '^[1-9][0-9]{0,17}$', description: 'Decimal id, opaque to clients' })

/** Id of a user in your application. */
export const ExternalId = Type.String({
  minLength: 1,
  maxLength: 255,
  pattern: '^[^\\x00-\\x1f\\x7f]+$',
  description: "The user's id in your own application; `sub` in the tokens of its identity provider",
})
