import type { Connection } from '../connections/connection.ts'

/**
 * A transaction open at the last read may have begun this long before it. The database ends transactions that idle for
 * longer.
 */
export const OPEN_FOR_SECONDS = 10

/**
 * How far back a read goes, in seconds, when the one before began at `readAt`. The first goes further, because what only a later
 * read finds counts as new: a first read that waited for a connection must not start after the second one does.
 */
export function secondsBack(readAt: number | undefined, startedAt: number): number {
  return readAt === undefined ? 3 * OPEN_FOR_SECONDS : (startedAt - readAt) / 1000 + OPEN_FOR_SECONDS
}

/** `since`: start of the watch, by `performance.now()`. `isReady`: a read has begun and ended since then. */
export type Watch = { since: number; isReady: boolean }

/**
 * Whether a change came after the watch began. The first read also finds older changes. Everything a later read finds
 * is new, including changes that a slow transaction began earlier.
 */
export function isNewFor({ since, isReady }: Watch, changedAt: number): boolean {
  return isReady || changedAt >= since
}

/** A read that began at `startedAt` has ended. */
export function hasRead(watch: Watch | undefined, startedAt: number): void {
  if (watch && watch.since <= startedAt) watch.isReady = true
}

export function viewersOf(connections: Iterable<Connection>): string[] {
  return [...new Set([...connections].flatMap(({ identity }) => identity?.userId ?? []))]
}
