import { Type } from '@sinclair/typebox'

export const Password = Type.String({ minLength: 8, maxLength: 200 })
/** Only compared with the stored password, so its minimum length is not checked. */
export const CurrentPassword = Type.String({ minLength: 1, maxLength: 200 })
/** A username or a mail address. */
export const Login = Type.String({ minLength: 1, maxLength: 254 })
