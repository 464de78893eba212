import type { Session } from '../connections/session.ts'

/** Transactions that were open at the last read may have begun so long before it; the database ends those that idle for longer. */
export const OPEN_FOR_SECONDS = 10

/** Since when a socket watches, by performance.now(), and whether a read has begun and ended since then. */
export type Watch = { since: number; isReady: boolean }

/**
 * Whether a change that was just found came after the watch began. With the first read comes also what is older; after it, everything
 * that is found is new, also what a slow transaction began earlier.
 */
export function isNewFor({ since, isReady }: Watch, changedAt: number): boolean {
  return isReady || changedAt >= since
}

/** A read that began at this time is over. */
export function hasRead(watch: Watch | undefined, startedAt: number): void {
  if (watch && watch.since <= startedAt) watch.isReady = true
}

export function viewersOf(sessions: Iterable<Session>): string[] {
  return [...new Set([...sessions].flatMap(({ identity }) => identity?.userId ?? []))]
}
