import { Type } from '@sinclair/typebox'

export const Password = Type.String({ minLength: 8, maxLength: 200 })
/** One that is to be compared, so its length is not checked. */
export const CurrentPassword = Type.String({ minLength: 1, maxLength: 200 })
/** A username or an address. */
export const Login = Type.String({ minLength: 1, maxLength: 254 })
