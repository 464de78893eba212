import type { Changes, Notification } from './protocol.ts'
import { compare, contains, type Key, newRange, type Range } from './ranges.ts'
import { epochOf, numberOf } from './states.ts'

/** A page of `GET /notifications`. The last page has no `nextCursor`. */
export type Page = {
  items: Notification[]
  nextCursor?: string | null
  state: string
  unreadCount: number
  unseenCount: number
}

/**
 * A notification as of a state. `asOf`: number of the state at which it was read. `grown`: number of the first state with its
 * present content.
 */
export type Held = { item: Notification; asOf: number; grown: number }

/** Effect of a change on one notification. `grew`: it is new, or its content was extended. */
export type Effect =
  | { id: string; item: Notification; previous: Notification | undefined; grew: boolean }
  | { id: string; item: undefined }

/**
 * Maximum disorder between update times and commits, in milliseconds: transactions do not commit in the order in which they
 * begin.
 */
const DISORDER_MS = 10_000

/**
 * The inbox as the server reported it: the notifications within the held ranges and the counts, as of one state. Each range is
 * complete between its top and its bottom.
 */
export class HeldInbox {
  state: string | undefined
  counts = { unreadCount: 0, unseenCount: 0 }
  readonly held = new Map<string, Held>()
  /** The inbox without archived and filtered notifications. */
  readonly main: Range = newRange({})
  readonly ranges = new Set([this.main])
  /** Incremented when the list is fetched again. Responses to earlier page requests are then discarded. */
  generation = 0
  /** Latest `updatedAt` of all notifications so far. */
  #newest = ''
  /**
   * Number of page requests in flight. Removals are remembered until all have arrived, because a page may contain an older
   * version.
   */
  #pages = 0
  readonly #gone = new Map<string, number>()

  /** The notifications of the inbox, newest content first. */
  get items(): Notification[] {
    return this.within(this.main).map(({ item }) => item)
  }

  within(range: Range): Held[] {
    const within = [...this.held.values()].filter(({ item }) => contains(range, item))
    return within.sort((a, b) => compare(a.item, b.item))
  }

  /**
   * Decides how to process changes. `next`: apply them. `known`: skip them. `missed`: fetch the changes since `state`.
   * `otherEpoch`: fetch the list again.
   */
  place({ from, to }: Pick<Changes, 'from' | 'to'>): 'next' | 'known' | 'missed' | 'otherEpoch' {
    if (this.state === undefined || epochOf(to) !== epochOf(this.state)) return 'otherEpoch'
    if (numberOf(from) > numberOf(this.state)) return 'missed'
    return numberOf(to) > numberOf(this.state) ? 'next' : 'known'
  }

  /** Applies changes for which `place` returned `next`. */
  apply({ upserts, removes, to, more, unreadCount = 0, unseenCount = 0 }: Omit<Changes, 'from'>): Effect[] {
    const asOf = numberOf(to)
    const effects = [
      ...upserts.map((item) => this.#upsert(item, asOf)),
      ...removes.map((id) => this.#remove(id, asOf)),
    ].flatMap((effect) => effect ?? [])
    this.state = to
    if (!more) this.counts = { unreadCount, unseenCount }
    return effects
  }

  /** Replaces everything held by the first page of the inbox. */
  replace(page: Page): void {
    const { items, state, unreadCount, unseenCount } = page
    this.clear()
    for (const item of items) this.#putAsOf(item, numberOf(state))
    this.state = state
    this.counts = { unreadCount, unseenCount }
    extend(this.main, page)
  }

  clear(): void {
    this.generation += 1
    this.state = undefined
    this.held.clear()
    this.#newest = ''
    for (const range of this.ranges) Object.assign(range, newRange(range.filter))
  }

  /** Must be called before each page request, and `pageDone` after it, even if the request fails. */
  pageAsked(): void {
    this.#pages += 1
  }

  pageDone(): void {
    this.#pages -= 1
    this.#forget()
  }

  /**
   * Adds a page to a list. The page may be older or newer than what is held: the later version of each notification wins. The
   * counts of the page are ignored, because changes bring them.
   */
  addPage(range: Range, page: Page): void {
    const asOf = numberOf(page.state)
    for (const item of page.items) {
      const later = Math.max(this.#gone.get(item.id) ?? -1, this.held.get(item.id)?.asOf ?? -1)
      if (later < asOf) this.#putAsOf(item, asOf)
    }
    extend(range, page)
  }

  #putAsOf(item: Notification, asOf: number): void {
    const previous = this.held.get(item.id)
    this.put({ item, asOf, grown: previous?.item.updatedAt === item.updatedAt ? previous.grown : asOf })
  }

  #upsert(item: Notification, asOf: number): Effect | undefined {
    const previous = this.held.get(item.id)
    if (previous && previous.asOf > asOf) return undefined
    const grew = this.#grew(item, previous?.item)
    if (grew && this.#isRecent(item)) this.#lift(item)
    this.#putAsOf(item, asOf)
    if (this.#pages === 0) this.#forgetUnlessWithin(item.id)
    return { id: item.id, item, previous: previous?.item, grew }
  }

  /** Adds or replaces one notification. */
  put({ item, asOf, grown }: Held): void {
    this.held.set(item.id, { item, asOf, grown })
    if (item.updatedAt > this.#newest) this.#newest = item.updatedAt
  }

  #lift(item: Notification): void {
    for (const range of this.ranges) if (range.bottom !== 'none' && !contains(range, item)) range.lifted.add(item.id)
  }

  /** A notification that is not held is either new, or old with a change outside its content. */
  #grew(item: Notification, previous: Notification | undefined): boolean {
    if (previous) return item.updatedAt > previous.updatedAt
    if (item.readAt !== null || item.archivedAt !== null || item.seen) return item.updatedAt > this.#newest
    return this.#isRecent(item)
  }

  #isRecent({ updatedAt }: Notification): boolean {
    return Date.parse(updatedAt) > (Date.parse(this.#newest) || 0) - DISORDER_MS
  }

  #remove(id: string, asOf: number): Effect | undefined {
    const held = this.held.get(id)
    if (held && held.asOf > asOf) return undefined
    this.held.delete(id)
    if (this.#pages > 0) this.#gone.set(id, asOf)
    return { id, item: undefined }
  }

  #forget(): void {
    if (this.#pages > 0) return
    this.#gone.clear()
    for (const id of this.held.keys()) this.#forgetUnlessWithin(id)
  }

  #forgetUnlessWithin(id: string): void {
    const held = this.held.get(id)
    if (held && ![...this.ranges].some((range) => contains(range, held.item))) this.held.delete(id)
  }
}

/** Moves the bottom of a range to the end of its next page. */
export function extend(range: Range, { items, nextCursor }: Page): void {
  if (!nextCursor) {
    range.bottom = 'all'
    return
  }
  const oldest = items.reduce<Key | undefined>((key, item) => (key && compare(key, item) >= 0 ? key : item), undefined)
  if (!oldest) return
  const { updatedAt, id } = oldest
  range.bottom = { updatedAt, id }
  range.marks.push({ bottom: range.bottom, cursor: nextCursor })
}
