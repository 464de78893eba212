import { type TSchema, Type } from '@sinclair/typebox'
import { fail } from '../errors.ts'

/** A decimal id that fits a bigint. */
export const Id = Type.String({ pattern: '^[1-9][0-9]{0,17}$', description: 'Decimal id, opaque to clients' })

const Limit = Type.Integer({ minimum: 1, maximum: 100, default: 20 })

const Cursor = Type.String({ maxLength: 200, description: '`nextCursor` of the previous page' })

export const PageQuery = Type.Object(
  { limit: Type.Optional(Limit), cursor: Type.Optional(Cursor) },
  { additionalProperties: false },
)

export function pageOf<T extends TSchema>(item: T) {
  return Type.Object({ items: Type.Array(item), nextCursor: Type.Union([Type.String(), Type.Null()]) })
}

/** Packs the sort key of a page's last item; opaque to clients, but not secret. cursors.ts seals it. */
export function encodeCursor(key: (string | number)[]): string {
  return Buffer.from(key.join(',')).toString('base64url')
}

/**
 * The decimal integers of a cursor, null without one.
 * @throws {AppError} BAD_CURSOR when it does not hold exactly `parts` of them
 */
export function decodeCursor(cursor: string | undefined, parts: number): string[] | null {
  if (cursor === undefined) return null
  const key = Buffer.from(cursor, 'base64url').toString('latin1').split(',')
  if (key.length !== parts || !key.every((part) => /^\d{1,18}$/.test(part))) throw fail('BAD_CURSOR')
  return key
}

/** Cuts a result that was read with `limit + 1` to a page. */
export function cutPage<T>(
  rows: T[],
  limit: number,
  keyOf: (last: T) => (string | number)[],
): { items: T[]; nextCursor: string | null } {
  const items = rows.slice(0, limit)
  const last = items.at(-1)
  return { items, nextCursor: rows.length > limit && last ? encodeCursor(keyOf(last)) : null }
}
