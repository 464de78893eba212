import type { KeyboardEvent } from 'react'
import type { Ravenpost } from '../index.ts'

/**
 * Handles a key in a list of notifications: j, k, the arrows, Home and End move the focus; e archives, u marks as read, and each
 * undoes itself; # deletes; A (with Shift) marks the whole inbox as read. A row is an element with `data-id`, and its first link
 * takes the focus. Keys in fields and menus are left alone.
 */
export function onInboxKey(event: KeyboardEvent<HTMLElement>, client: Ravenpost): void {
  const target = event.target as HTMLElement
  const isElsewhere = target.closest('input:not([type=checkbox]), select, textarea, [role=menu]') !== null
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isElsewhere) return
  const links = [...event.currentTarget.querySelectorAll<HTMLElement>('[data-id]')].flatMap(
    (row) => row.querySelector('a') ?? [],
  )
  const row = target.closest<HTMLElement>('[data-id]')
  const at = links.findIndex((link) => row?.contains(link))
  const go = (to: number) => links[Math.min(Math.max(to, 0), links.length - 1)]?.focus()
  const id = row?.dataset.id
  const keys: Record<string, () => unknown> = {
    j: () => go(at + 1),
    ArrowDown: () => go(at + 1),
    k: () => go(at - 1),
    ArrowUp: () => go(at - 1),
    Home: () => go(0),
    End: () => go(links.length - 1),
    A: () => client.readAll(),
    ...(id && {
      e: () => leave(() => (client.get(id)?.archivedAt === null ? client.archive([id]) : client.unarchive([id]))),
      '#': () => leave(() => client.delete([id])),
      u: () => (client.get(id)?.readAt === null ? client.read([id]) : client.unread([id])),
    }),
  }
  // Moves the focus to the next row before this one disappears.
  const leave = (act: () => unknown) => {
    ;(links[at + 1] ?? links[at - 1])?.focus()
    act()
  }
  const act = keys[event.key]
  if (!act) return
  event.preventDefault()
  act()
}
