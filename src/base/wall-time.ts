/**
 * Whether JavaScript and PostgreSQL have a date and time without offset, like `2026-02-28T09:00:00`. JavaScript accepts 30 February
 * and returns 1 or 2 March, so the result is compared with the text. PostgreSQL has no year 0.
 */
export function isWallTime(wall: string): boolean {
  const asUtc = new Date(`${wall}Z`)
  return !Number.isNaN(asUtc.getTime()) && asUtc.toISOString().startsWith(wall) && !wall.startsWith('0000')
}
