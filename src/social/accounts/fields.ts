import { Type } from '@sinclair/typebox'

/** Characters that could turn an address in a mail header into a list, a group, a name or a comment. */
const notInEmail = '\\s\\x00-\\x1f\\x7f@,;:<>()[\\]"\\\\'

export const Username = Type.String({ pattern: '^[a-z0-9_]{3,30}$' })
export const Email = Type.String({
  maxLength: 254,
  pattern: `^[^${notInEmail}]+@[^${notInEmail}]+\\.[^${notInEmail}.]+$`,
})
