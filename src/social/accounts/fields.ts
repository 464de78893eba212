import { Type } from '@sinclair/typebox'

/** Characters that could turn an address in a mail header into a list, a group, a name or a comment. */
const notInEmail = '\\s\\x00-\\x1f\\x7f@,;:<>()[\\]"\\\\'

export const Username = Type.String({ pattern: '^[a-z0-9_]{3,30}$', description: '3 to 30 of a to z, 0 to 9 and _' })
export const Email = Type.String({
  maxLength: 254,
  description: 'an address such as ana@example.org',
  pattern: `^[^${notInEmail}]+@[^${notInEmail}]+\\.[^${notInEmail}.]+$`,
})
