import type { Held, HeldInbox } from './held-inbox.ts'
import type { Notification } from './protocol.ts'
import { epochOf, numberOf } from './states.ts'
import { kept } from './stores.ts'

/** An action of the user on notifications. */
export type Action =
  | { type: 'read' | 'unread' | 'archive' | 'unarchive' | 'delete'; ids: readonly string[] }
  | { type: 'readAll' | 'seen'; upTo: string }

/**
 * An intent: an action of the user that the inbox from the server does not contain yet. `key` sorts by time. `epoch`:
 * epoch of the inbox it refers to, or empty if unknown. `of`: `updatedAt` of each notification when the user saw it.
 * `confirmed`: state at which the server applied it.
 */
export type Intent = {
  key: string
  action: Action
  at: string
  epoch: string
  of: Record<string, string>
  confirmed?: string
}

/** `pending`: shown as the user wants it, but not confirmed by the server. */
export type InboxItem = Notification & { pending?: true }

type Shown = { from: Notification; item: InboxItem }

/**
 * Shows the stored inbox as if the user's unconfirmed actions had succeeded. A refused action is only dropped, so
 * changes that arrived meanwhile remain.
 */
export class Overlay {
  intents: Intent[] = []
  /** Items as last shown, so that `show` returns the same object until its content changes. */
  readonly #shown = new Map<string, Shown>()

  /** The item as shown; undefined if the user deletes it. */
  show({ item, grown }: Held): InboxItem | undefined {
    let wanted: InboxItem | undefined = item
    for (const intent of this.intents) if (wanted && covers(intent, item, grown)) wanted = applied(intent, wanted)
    if (wanted === item || !wanted) {
      this.#shown.delete(item.id)
      return wanted
    }
    const before = this.#shown.get(item.id)
    if (before?.from === item) wanted = kept(before.item, wanted)
    this.#shown.set(item.id, { from: item, item: wanted })
    return wanted
  }

  /**
   * The counts of the server, corrected by the intents. After a "read all" only newer notifications count, and all of them
   * are loaded.
   */
  counts(inbox: HeldInbox): { unreadCount: number; unseenCount: number } {
    if (this.intents.length === 0) return inbox.counts
    const has = (type: Action['type']) => this.intents.some(({ action }) => action.type === type)
    const allRead = has('readAll')
    const allSeen = allRead || has('seen')
    let { unreadCount, unseenCount } = inbox.counts
    if (allRead) unreadCount = 0
    if (allSeen) unseenCount = 0
    for (const held of inbox.held.values()) {
      const shown = this.show(held)
      unreadCount += isUnread(shown) - (allRead ? 0 : isUnread(held.item))
      unseenCount += isUnseen(shown) - (allSeen ? 0 : isUnseen(held.item))
    }
    return { unreadCount: Math.max(0, unreadCount), unseenCount: Math.max(0, unseenCount) }
  }

  /** Drops intents that the inbox already shows or that no longer apply. Returns the dropped ones. */
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

/** True if the intent applies to this notification. It does not apply to content that the user had not seen. */
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
  // "Read all" applies to the inbox, not to the archive.
  if (item.readAt !== null || (type === 'readAll' && item.archivedAt !== null)) return item
  return { ...item, ...pending, readAt: at }
}

function isUnread(item: Notification | undefined): number {
  return item && item.readAt === null && item.archivedAt === null ? 1 : 0
}

/** A read notification counts as seen. */
function isUnseen(item: Notification | undefined): number {
  return item?.seen ? 0 : isUnread(item)
}
