import type { App } from '../../../src/app.ts'
import { changesSince } from '../../../src/notify/inbox/changes.ts'
import { listNotifications } from '../../../src/notify/inbox/list.ts'
import type { Notification } from '../../../src/protocol/notification.ts'

/** State of a client that only applies changes. */
export type Held = { modseq: number; items: Map<string, Notification>; unreadCount: number; unseenCount: number }

export function emptyHand(): Held {
  return { modseq: 0, items: new Map(), unreadCount: 0, unseenCount: 0 }
}

/** Fetches pages of `limit` changes until there are no more, applies them, and returns how many there were. */
export async function catchUp(app: App, userId: string, held: Held, limit: number): Promise<number> {
  let applied = 0
  for (;;) {
    const changes = (await changesSince(app, [{ userId, since: held.modseq, limit }])).get(userId)
    if (!changes) throw new Error(`user ${userId} has no inbox`)
    for (const notification of changes.upserts) held.items.set(notification.id, notification)
    for (const id of changes.removes) held.items.delete(id)
    applied += changes.upserts.length + changes.removes.length
    held.modseq = changes.to
    if (changes.more) continue
    held.unreadCount = changes.unreadCount
    held.unseenCount = changes.unseenCount
    return applied
  }
}

/** Everything but `deliveredAt`, which lies outside the state, newest content first. */
export function foldedItems(held: Held): object[] {
  return inOrder([...held.items.values()])
}

/** The same by the lists: everything, page by page. */
export async function listedItems(app: App, userId: string): Promise<object[]> {
  const items: Notification[] = []
  let cursor: string | undefined
  do {
    const page = await listNotifications(app, userId, { filter: 'history', limit: 100, cursor })
    items.push(...page.items)
    cursor = page.nextCursor ?? undefined
  } while (cursor)
  return inOrder(items)
}

function inOrder(items: Notification[]): object[] {
  return items.sort((a, b) => Number(a.id) - Number(b.id)).map(({ deliveredAt: _, ...rest }) => rest)
}
