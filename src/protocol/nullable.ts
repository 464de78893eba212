import { type StringOptions, Type } from '@sinclair/typebox'

/** Schema of a text or null. */
export const textOrNull = (description?: string, options: StringOptions = {}) =>
  Type.Unsafe<string | null>({ type: ['string', 'null'], ...options, ...(description && { description }) })

/** Schema of a time, as RFC 3339, or null. */
export const timeOrNull = (description?: string, options: StringOptions = {}) =>
  textOrNull(description, { format: 'date-time', ...options })
