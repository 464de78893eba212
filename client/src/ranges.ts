import type { Notification } from './protocol.ts'

/**
 * Selects the notifications of a list. `filtered`: notifications hidden by the user's policy for strangers; this list is not
 * live.
 */
export type Filter = {
  filter?: 'all' | 'unread' | 'archived' | 'filtered'
  type?: string | readonly string[]
  priority?: Notification['priority']
}

/** Sort key of a list, newest first. */
export type Key = { updatedAt: string; id: string }

/**
 * The held part of one list: all matches not older than `bottom`. `none`: not fetched yet. `all`: complete. `marks`: end of
 * each page, with its cursor. `lifted`: new notifications with a time before `bottom`.
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

/** Compares for sorting: negative if `a` is newer. Ids are decimal and may exceed a JavaScript number. */
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
