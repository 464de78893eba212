import type { Changes, Notification } from './protocol.ts'
import { compare, contains, type Key, newRange, type Range } from './ranges.ts'
import { epochOf, numberOf } from './states.ts'

/** A page of `GET /notifications`. Without `nextCursor` it is the last one. */
export type Page = {
  items: Notification[]
  nextCursor?: string | null
  state: string
  unreadCount: number
  unseenCount: number
}

/**
 * A notification as of a state: `asOf` is the number of the state it was read at, `grown` that of the first one at which its
 * content was seen as it is.
 */
export type Held = { item: Notification; asOf: number; grown: number }

/** What a change did to one notification. `grew`: it is new, or there is more to it than before. */
export type Effect =
  | { id: string; item: Notification; previous: Notification | undefined; grew: boolean }
  | { id: string; item: undefined }

/** Times are of the transactions that made them, which end in another order than they began. They wait no longer than this. */
const DISORDER_MS = 10_000

/**
 * What the server said about an inbox: the notifications within the held ranges, and the counts, as of one state. Each list
 * has no gap between its top and its bottom, whatever changes below the bottom.
 */
export class HeldInbox {
  state: string | undefined
  counts = { unreadCount: 0, unseenCount: 0 }
  readonly held = new Map<string, Held>()
  /** The inbox itself, neither archived nor filtered. */
  readonly main: Range = newRange({})
  readonly ranges = new Set([this.main])
  /** Moves when the list is fetched anew: pages that were asked for before are of no use. */
  generation = 0
  /** Newest content so far. */
  #newest = ''
  /** Pages under way. Until they have come, nothing is forgotten that they may tell an older version of. */
  #pages = 0
  readonly #gone = new Map<string, number>()

  /** The inbox, newest content first. */
  get items(): Notification[] {
    return this.within(this.main).map(({ item }) => item)
  }

  within(range: Range): Held[] {
    const within = [...this.held.values()].filter(({ item }) => contains(range, item))
    return within.sort((a, b) => compare(a.item, b.item))
  }

  /** What to do with changes: apply the `next`; after a gap (`missed`) ask for those since `state`; fetch the list in `otherEpoch`. */
  place({ from, to }: Pick<Changes, 'from' | 'to'>): 'next' | 'known' | 'missed' | 'otherEpoch' {
    if (this.state === undefined || epochOf(to) !== epochOf(this.state)) return 'otherEpoch'
    if (numberOf(from) > numberOf(this.state)) return 'missed'
    return numberOf(to) > numberOf(this.state) ? 'next' : 'known'
  }

  /** Applies changes that are `next`. */
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

  /** Starts anew with the first page of the inbox. */
  replace({ items, nextCursor, state, unreadCount, unseenCount }: Page): void {
    this.clear()
    for (const item of items) this.#put(item, numberOf(state))
    this.state = state
    this.counts = { unreadCount, unseenCount }
    extend(this.main, items, nextCursor)
  }

  /** Goes on with notifications that were held before. */
  restore(held: Held[]): void {
    for (const each of held) {
      this.held.set(each.item.id, each)
      if (each.item.updatedAt > this.#newest) this.#newest = each.item.updatedAt
    }
  }

  clear(): void {
    this.generation += 1
    this.state = undefined
    this.held.clear()
    this.#newest = ''
    for (const range of this.ranges) Object.assign(range, newRange(range.filter))
  }

  /** Before a page of a list is asked for; `pageDone` follows, whatever comes of it. */
  pageAsked(): void {
    this.#pages += 1
  }

  pageDone(): void {
    this.#pages -= 1
    this.#forget()
  }

  /**
   * Adds a page to a list. It may be of an earlier or a later state than what is held: of each notification the later version
   * stays. Its counts are left to the changes that lead to its state.
   */
  addPage(range: Range, { items, nextCursor, state }: Page): void {
    const asOf = numberOf(state)
    for (const item of items) {
      const later = Math.max(this.#gone.get(item.id) ?? -1, this.held.get(item.id)?.asOf ?? -1)
      if (later < asOf) this.#put(item, asOf)
    }
    extend(range, items, nextCursor)
  }

  #upsert(item: Notification, asOf: number): Effect | undefined {
    const previous = this.held.get(item.id)
    if (previous && previous.asOf > asOf) return undefined
    const grew = this.#grew(item, previous?.item)
    if (grew && this.#isRecent(item)) this.#lift(item)
    this.#put(item, asOf)
    if (this.#pages === 0) this.#forgetUnlessWithin(item.id)
    return { id: item.id, item, previous: previous?.item, grew }
  }

  #put(item: Notification, asOf: number): void {
    const previous = this.held.get(item.id)
    const same = previous?.item.updatedAt === item.updatedAt
    this.held.set(item.id, { item, asOf, grown: same ? previous.grown : asOf })
    if (item.updatedAt > this.#newest) this.#newest = item.updatedAt
  }

  #lift(item: Notification): void {
    for (const range of this.ranges) if (range.bottom !== 'none' && !contains(range, item)) range.lifted.add(item.id)
  }

  /** One that is not held is either new, or an old one of which something else changed. */
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

function extend(range: Range, items: Notification[], cursor: string | null | undefined): void {
  if (!cursor) {
    range.bottom = 'all'
    return
  }
  const oldest = items.reduce<Key | undefined>((key, item) => (key && compare(key, item) >= 0 ? key : item), undefined)
  if (!oldest) return
  const { updatedAt, id } = oldest
  range.bottom = { updatedAt, id }
  range.marks.push({ bottom: range.bottom, cursor })
}
