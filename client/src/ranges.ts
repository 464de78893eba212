import type { Notification } from './protocol.ts'

/** Which notifications a list holds. `filtered`: what the user's policy for strangers held back; not live. */
export type Filter = {
  filter?: 'all' | 'unread' | 'archived' | 'filtered'
  type?: string | readonly string[]
  priority?: Notification['priority']
}

/** What a list sorts by, newest first. */
export type Key = { updatedAt: string; id: string }

/**
 * The part of one list that is held: all that matches the filter and is not older than `bottom`. `none`: not fetched yet;
 * `all`: down to the oldest. `marks`: where each page ended, and the cursor to go on from there. `lifted`: what is new, though
 * its time is before the bottom.
 */
export type Range = {
  readonly filter: Filter
  bottom: Key | 'none' | 'all'
  marks: { bottom: Key; cursor: string }[]
  lifted: Set<string>
}

export function newRange(filter: Filter): Range {
  return { filter, bottom: 'none', marks: [], lifted: new Set() }
}

export function matches({ filter = 'all', type, priority }: Filter, item: Notification): boolean {
  if (filter === 'filtered' || (item.archivedAt !== null) !== (filter === 'archived')) return false
  if (filter === 'unread' && item.readAt !== null) return false
  return (type === undefined || [type].flat().includes(item.type)) && (!priority || item.priority === priority)
}

/** Below zero when `a` is newer than `b`. Ids are decimal, and may be too large for a number. */
export function compare(a: Key, b: Key): number {
  if (a.updatedAt !== b.updatedAt) return a.updatedAt > b.updatedAt ? -1 : 1
  return b.id.length - a.id.length || (a.id === b.id ? 0 : a.id > b.id ? -1 : 1)
}

export function contains(range: Range, item: Notification): boolean {
  return matches(range.filter, item) && (reaches(range.bottom, item) || range.lifted.has(item.id))
}

export function reaches(bottom: Range['bottom'], key: Key): boolean {
  return bottom === 'all' || (bottom !== 'none' && compare(key, bottom) <= 0)
}
