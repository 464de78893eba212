import type { KeyboardEvent } from 'react'
import type { Ravenpost } from '../index.ts'

/**
 * Handles a key in a list of notifications: j, k, the arrows, Home and End move the focus; e archives, u marks as read, and each
 * undoes itself; # deletes; A (with Shift) marks the whole inbox as read. A row is an element with `data-id`, and its first link
 * takes the focus. Keys in fields are left alone.
 */
export function onInboxKey(event: KeyboardEvent<HTMLElement>, client: Ravenpost): void {
  const target = event.target as HTMLElement
  if (event.ctrlKey || event.metaKey || event.altKey || target.matches('input:not([type=checkbox])')) return
  const rows = [...event.currentTarget.querySelectorAll<HTMLElement>('[data-id]')]
  const row = target.closest<HTMLElement>('[data-id]')
  const at = row ? rows.indexOf(row) : -1
  const go = (to: number) => rows[Math.max(to, 0)]?.querySelector('a')?.focus()
  const next = () => go(Math.min(at + 1, rows.length - 1))
  const previous = () => go(at - 1)
  const id = row?.dataset.id
  const ids = id ? [id] : []
  const item = id && client.get(id)
  // Moves the focus to another row before this one disappears.
  const leave = (act: 'archive' | 'unarchive' | 'delete') => {
    if (rows[at + 1]) next()
    else previous()
    client[act](ids)
  }
  const keys: Record<string, () => unknown> = {
    j: next,
    ArrowDown: next,
    k: previous,
    ArrowUp: previous,
    Home: () => go(0),
    End: () => go(rows.length - 1),
    A: () => client.readAll(),
    ...(item && {
      e: () => leave(item.archivedAt === null ? 'archive' : 'unarchive'),
      '#': () => leave('delete'),
      u: () => client[item.readAt === null ? 'read' : 'unread'](ids),
    }),
  }
  const act = keys[event.key]
  if (!act) return
  event.preventDefault()
  act()
}
