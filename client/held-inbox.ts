import type { ServerFrame } from '../src/protocol/frames.ts'
import type { Notification } from '../src/protocol/notification.ts'

export type Changes = Omit<Extract<ServerFrame, { type: 'changes' }>, 'type'>
export type Counts = { unreadCount: number; unseenCount: number }
/** The answer of `GET /notifications`. */
export type List = Counts & { items: Notification[]; state: string }

/** What a client holds of an inbox: a state, and the notifications and counts as of it. */
export class HeldInbox {
  state: string | undefined
  readonly #items = new Map<string, Notification>()
  #counts: Counts = { unreadCount: 0, unseenCount: 0 }
  #countsState: string | undefined

  /** Not archived, newest content first. */
  get items(): Notification[] {
    const inbox = [...this.#items.values()].filter(({ archivedAt }) => archivedAt === null)
    return inbox.sort((a, b) => b.updatedAt.localeCompare(a.updatedAt) || Number(b.id) - Number(a.id))
  }

  get counts(): Counts {
    return this.#counts
  }

  /** Where changes stand to what is held: `next` are to be applied; after a gap (`missed`) ask for those since `state`. */
  place({ from, to }: Changes): 'next' | 'known' | 'missed' | 'otherEpoch' {
    if (this.state === undefined || epochOf(to) !== epochOf(this.state)) return 'otherEpoch'
    if (numberOf(from) > numberOf(this.state)) return 'missed'
    return numberOf(to) > numberOf(this.state) ? 'next' : 'known'
  }

  apply({ upserts, removes, to, more, unreadCount = 0, unseenCount = 0 }: Changes): void {
    for (const notification of upserts) this.#items.set(notification.id, notification)
    for (const id of removes) this.#items.delete(id)
    this.state = to
    if (!more) this.count(to, { unreadCount, unseenCount })
  }

  /** Starts anew with a list as of a state. */
  replace(list: List): void {
    this.#items.clear()
    this.#countsState = undefined
    this.apply({ ...list, upserts: list.items, removes: [], from: list.state, to: list.state, more: false })
  }

  /** Counts belong to a state; those of the highest one stand. */
  count(state: string, { unreadCount, unseenCount }: Counts): void {
    const known = this.#countsState
    if (known !== undefined && epochOf(known) === epochOf(state) && numberOf(known) > numberOf(state)) return
    this.#countsState = state
    this.#counts = { unreadCount, unseenCount }
  }
}

function epochOf(state: string): string {
  return state.slice(0, state.lastIndexOf('.'))
}

function numberOf(state: string): number {
  return Number(state.slice(state.lastIndexOf('.') + 1))
}
