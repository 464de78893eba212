import { Type } from '@sinclair/typebox'

/** A decimal id that fits a bigint. */
export const Id = Type.String({ pattern: '^[1-9][0-9]{0,17}$', description: 'Decimal id, opaque to clients' })
