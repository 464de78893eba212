import { Type } from '@sinclair/typebox'

export const Password = Type.String({ minLength: 8, maxLength: 200 })
/** Password that is only compared with the stored one, so its minimum length is not checked. */
export const CurrentPassword = Type.String({ minLength: 1, maxLength: 200 })
/** A username or a mail address. */
export const Login = Type.String({ minLength: 1, maxLength: 254 })
