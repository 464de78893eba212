import type { KeyboardEvent } from 'react'
import type { Ravenpost } from '../index.ts'

const FIELDS = 'input:not([type=checkbox]),textarea,select,[contenteditable]'

/**
 * Handles a key in a list of notifications: j, k, the arrows, Home and End move the focus; e archives, u marks as read, and each
 * undoes itself; # deletes; A (with Shift) marks the whole inbox as read. A row is an element with `data-id`, and its first link
 * takes the focus. Keys in fields are left alone.
 */
export function onInboxKey(event: KeyboardEvent<HTMLElement>, client: Ravenpost): void {
  const target = event.target as HTMLElement
  if (event.ctrlKey || event.metaKey || event.altKey || target.closest(FIELDS)) return
  const rows = [...event.currentTarget.querySelectorAll<HTMLElement>('[data-id]')]
  const row = target.closest<HTMLElement>('[data-id]')
  const at = row ? rows.indexOf(row) : -1
  const go = (to: number) => rows[Math.max(to, 0)]?.querySelector('a')?.focus()
  const next = () => go(at + 1)
  const previous = () => go(at - 1)
  const id = row?.dataset.id ?? ''
  // Undefined: filtered, so neither read nor archived.
  const item = client.get(id)
  const act = (type: 'archive' | 'unarchive' | 'delete' | 'read' | 'unread') => () => {
    client[type]([id])
    // Moves the focus to another row if this one is gone.
    requestAnimationFrame(() => row?.isConnected || (rows[at + 1] ? next() : previous()))
  }
  const keys: Record<string, () => unknown> = {
    j: next,
    ArrowDown: next,
    k: previous,
    ArrowUp: previous,
    Home: () => go(0),
    End: () => go(rows.length - 1),
    A: () => client.readAll(),
    ...(row && {
      e: act(item?.archivedAt ? 'unarchive' : 'archive'),
      u: act(item?.readAt ? 'unread' : 'read'),
      '#': act('delete'),
    }),
  }
  const run = keys[event.key]
  if (!run) return
  event.preventDefault()
  run()
}
