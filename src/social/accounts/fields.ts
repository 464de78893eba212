import { Type } from '@sinclair/typebox'

/** Nothing that would make a list, a group, a name or a comment of it in a mail's header. */
const notInEmail = '\\s\\x00-\\x1f\\x7f@,;:<>()[\\]"\\\\'

export const Username = Type.String({ pattern: '^[a-z0-9_]{3,30}$' })
export const Email = Type.String({
  maxLength: 254,
  pattern: `^[^${notInEmail}]+@[^${notInEmail}]+\\.[^${notInEmail}.]+$`,
})
