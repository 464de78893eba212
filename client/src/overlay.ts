import type { Held, HeldInbox } from './held-inbox.ts'
import type { Notification } from './protocol.ts'
import { epochOf, numberOf } from './states.ts'

/** What a user does to notifications. */
export type Action =
  | { type: 'read' | 'unread' | 'archive' | 'unarchive' | 'delete'; ids: readonly string[] }
  | { type: 'readAll' | 'seen'; upTo: string }

/**
 * An action that the held inbox does not show yet. `key` sorts by time. `epoch`: of the inbox that it is about; empty when that
 * was not known. `of`: `updatedAt` of its notifications as the user saw them. `confirmed`: the state at which the server has done it.
 */
export type Intent = {
  key: string
  action: Action
  at: string
  epoch: string
  of: Record<string, string>
  confirmed?: string
}

/** `pending`: shown as the user wants it; the server has not confirmed it yet. */
export type InboxItem = Notification & { pending?: true }

type Shown = { from: Notification; item: InboxItem }

/** What is shown: the held inbox, and over it what the user wants. Nothing is ever put back, so nothing that came meanwhile is lost. */
export class Overlay {
  intents: Intent[] = []
  /** The same object as long as the same is shown. */
  readonly #shown = new Map<string, Shown>()

  /** Undefined when it is deleted. */
  show({ item, grown }: Held): InboxItem | undefined {
    let wanted: InboxItem | undefined = item
    for (const intent of this.intents) if (wanted && covers(intent, item, grown)) wanted = applied(intent, wanted)
    if (wanted === item || !wanted) {
      this.#shown.delete(item.id)
      return wanted
    }
    const before = this.#shown.get(item.id)
    if (before?.from === item && isSame(before.item, wanted)) return before.item
    this.#shown.set(item.id, { from: item, item: wanted })
    return wanted
  }

  /**
   * The server's counts, corrected by the notifications that are held. What came after a "read all" is always held, so beyond
   * it nothing but those counts.
   */
  counts(inbox: HeldInbox): { unreadCount: number; unseenCount: number } {
    const has = (...types: Action['type'][]) => this.intents.some(({ action }) => types.includes(action.type))
    let unread = has('readAll') ? 0 : inbox.counts.unreadCount
    let unseen = has('readAll', 'seen') ? 0 : inbox.counts.unseenCount
    if (this.intents.length === 0) return inbox.counts
    for (const held of inbox.held.values()) {
      const shown = this.show(held)
      unread += isUnread(shown) - (has('readAll') ? 0 : isUnread(held.item))
      unseen += isUnseen(shown) - (has('readAll', 'seen') ? 0 : isUnseen(held.item))
    }
    return { unreadCount: Math.max(0, unread), unseenCount: Math.max(0, unseen) }
  }

  /** Drops what the inbox shows by itself now, and what it no longer can be about. */
  settle(inbox: HeldInbox): Intent[] {
    const { state } = inbox
    if (state === undefined) return []
    const isDone = ({ epoch, confirmed }: Intent) => {
      if (epoch !== '' && epoch !== epochOf(state)) return true
      return confirmed !== undefined && numberOf(confirmed) <= numberOf(state)
    }
    const done = this.intents.filter(isDone)
    if (done.length > 0) this.intents = this.intents.filter((intent) => !done.includes(intent))
    if (this.intents.length === 0) this.#shown.clear()
    return done
  }
}

/** Whether it is about this notification, as far as it was known to the user: what has grown since is not. */
export function covers({ action, of }: Intent, { id, updatedAt }: Notification, grown: number): boolean {
  if ('upTo' in action) return grown <= numberOf(action.upTo)
  return action.ids.includes(id) && (of[id] ?? updatedAt) === updatedAt
}

function applied({ action: { type }, at, confirmed }: Intent, item: InboxItem): InboxItem | undefined {
  const pending = confirmed === undefined ? ({ pending: true } as const) : {}
  if (type === 'delete') return undefined
  if (type === 'unread') return item.readAt === null ? item : { ...item, ...pending, readAt: null }
  if (type === 'unarchive') return item.archivedAt === null ? item : { ...item, ...pending, archivedAt: null }
  if (type === 'archive') return item.archivedAt === null ? { ...item, ...pending, archivedAt: at } : item
  if (type === 'seen') return item.seen ? item : { ...item, seen: true }
  // "Read all" is about the inbox, not about the archive.
  if (item.readAt !== null || (type === 'readAll' && item.archivedAt !== null)) return item
  return { ...item, ...pending, readAt: at }
}

function isUnread(item: Notification | undefined): number {
  return item && item.readAt === null && item.archivedAt === null ? 1 : 0
}

/** What is read counts as seen. */
function isUnseen(item: Notification | undefined): number {
  return item && !item.seen && item.readAt === null && item.archivedAt === null ? 1 : 0
}

function isSame(a: InboxItem, b: InboxItem): boolean {
  return a.readAt === b.readAt && a.archivedAt === b.archivedAt && a.seen === b.seen && a.pending === b.pending
}
