/** Bytes from `start` to `end`, inclusive. */
export type ByteRange = { start: number; end: number }

/**
 * The range that a `Range` header requests of `size` bytes (RFC 9110, section 14). Undefined means the whole file: no
 * header, several ranges, other units, or a malformed header, which a server may ignore.
 */
export function parseRange(header: string | undefined, size: number): ByteRange | 'unsatisfiable' | undefined {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/i.exec(header?.trim() ?? '') ?? []
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined
  if (first === '')
    return last === '0'.repeat(last.length)
      ? 'unsatisfiable'
      : { start: Math.max(0, size - Number(last)), end: size - 1 }
  const [start, end] = [Number(first), last === '' ? size - 1 : Math.min(Number(last), size - 1)]
  if (last !== '' && Number(last) < start) return undefined
  return start < size ? { start, end } : 'unsatisfiable'
}

/** Whether `If-None-Match` contains the entity, by weak comparison (RFC 9110, section 13.1.2). */
export function noneMatch(header: string | undefined, etag: string): boolean {
  if (header === undefined) return true
  const tags = header.split(',').map((tag) => tag.trim().replace(/^W\//, ''))
  return header.trim() !== '*' && !tags.includes(etag)
}

/** Whether a range may be sent: `If-Range` is absent or names exactly this entity. Dates are not supported. */
export function ifRange(header: string | undefined, etag: string): boolean {
  return header === undefined || header.trim() === etag
}
