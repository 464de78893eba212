/** Where a message goes: the origin of the provider, and whose it is. Critical ones wait for no turn of their user. */
export type Place = { origin: string; userId: string; critical: boolean }

export type Limits = {
  /** Messages under way at once to an origin that answers quickly. */
  slots: number
  /** To one that was slow or failed last, or has not answered yet. */
  slowSlots: number
  /** What an origin takes. */
  perSecond: number
  /** All go to one origin, where there is no need to let one past another: nothing is put off for want of a place. */
  isSingle?: boolean
}

/** Messages under way in all. Origins that are not known to be quick have half of them, so that slow ones never have all. */
const SLOTS = 200
const SLOTS_OF_SLOW = SLOTS / 2
const SLOTS_OF_USER = 10
/** Messages that wait in memory or are under way. */
const HELD = 600
/** What slow origins are counted on. */
const SLOW_PER_SECOND = 2
/** A user's messages in a minute; what is more is sent later. Twenty browsers take six notifications. */
export const USER_PER_MINUTE = 120
const LONGEST_WAIT_OF_ORIGIN_SECONDS = 300
const LONGEST_WAIT_OF_USER_SECONDS = 3600
const SHORTEST_WAIT_SECONDS = 0.25
/** Origins and users kept in mind. There is no end to the names that users can give. */
const KEPT = 1000

type Origin<Item> = {
  waiting: Map<string, Item[]>
  /** By user: those that wait, that are under way, and that have a place and are still looked at. */
  held: Map<string, number>
  running: number
  /** Of its last answer; null: it has not answered yet. */
  quick: boolean | null
  /** When the last one that was put off has its turn, in ms of `performance.now()`. */
  turnAt: number
}

/** `tokenAt`: when all that was sent is worn off, in ms of `performance.now()`. */
type User = { tokenAt: number; turnAt: number }

/**
 * The messages of one channel that a process has taken: a few of each user and origin, sent in turn, so that nobody waits
 * for those whose providers are slow or who have much. What has no place is put off until its turn, and takes up no memory.
 */
export class FairQueue<Item extends Place> {
  readonly #limits: Limits
  readonly #origins = new Map<string, Origin<Item>>()
  readonly #users = new Map<string, User>()
  readonly #runningOfUser = new Map<string, number>()
  readonly #runningSlow = new Set<Item>()
  #running = 0
  #held = 0

  constructor(limits: Limits) {
    this.#limits = limits
  }

  get isEmpty(): boolean {
    return this.#held === 0
  }

  /** Enough to look for more. */
  get hasRoom(): boolean {
    return this.#held < HELD / 2
  }

  /**
   * Seconds until the message may ask again; 0: it has a place now, until `leave` or `done`. Whoever is put off gets a turn of
   * its own, so that a long queue is not rewritten again and again. `closedSeconds`: for which its origin is not asked.
   */
  enter(place: Place, closedSeconds: number): number {
    const origin = this.#originOf(place.origin)
    if (closedSeconds > 0) return nextTurn(origin, closedSeconds, SLOW_PER_SECOND, LONGEST_WAIT_OF_ORIGIN_SECONDS)
    const user = this.#userOf(place.userId)
    if (!place.critical) {
      if (!hasToken(user)) return nextTurn(user, 0, USER_PER_MINUTE / 60, LONGEST_WAIT_OF_USER_SECONDS)
      if (!this.#hasPlace(origin, place.userId)) {
        const perSecond = origin.quick === false ? SLOW_PER_SECOND : this.#limits.perSecond
        return nextTurn(origin, 0, perSecond, LONGEST_WAIT_OF_ORIGIN_SECONDS)
      }
    }
    takeToken(user)
    this.#held += 1
    add(origin.held, place.userId, 1)
    return 0
  }

  /** It needs its place no longer. */
  leave(place: Place): void {
    this.#held -= 1
    add(this.#originOf(place.origin).held, place.userId, -1)
  }

  /** Waits for its turn in the place that it entered. */
  push(item: Item): void {
    const { waiting } = this.#originOf(item.origin)
    const items = waiting.get(item.userId) ?? []
    if (item.critical) items.unshift(item)
    else items.push(item)
    waiting.set(item.userId, items)
  }

  /** The next one to send: each origin in turn, and each of its users. */
  next(): Item | undefined {
    if (this.#running >= SLOTS) return undefined
    for (const [name, origin] of this.#origins) {
      if (origin.waiting.size === 0 || origin.running >= this.#slotsOf(origin)) continue
      if (!origin.quick && this.#runningSlow.size >= SLOTS_OF_SLOW) continue
      const item = this.#nextOf(origin)
      if (!item) continue
      this.#origins.delete(name)
      this.#origins.set(name, origin)
      this.#running += 1
      origin.running += 1
      add(this.#runningOfUser, item.userId, 1)
      if (!origin.quick) this.#runningSlow.add(item)
      return item
    }
    return undefined
  }

  /** `quick`: how it was answered; null: it was not tried. */
  done(item: Item, quick: boolean | null): void {
    const origin = this.#originOf(item.origin)
    this.#running -= 1
    origin.running -= 1
    add(this.#runningOfUser, item.userId, -1)
    this.#runningSlow.delete(item)
    if (quick !== null) origin.quick = quick
    if (quick) origin.turnAt = 0
    this.leave(item)
  }

  /** Those that wait, which leave. */
  drain(): Item[] {
    const items = [...this.#origins.values()].flatMap(({ waiting }) => [...waiting.values()].flat())
    for (const { waiting } of this.#origins.values()) waiting.clear()
    for (const item of items) this.leave(item)
    return items
  }

  #nextOf({ waiting }: Origin<Item>): Item | undefined {
    for (const [userId, items] of waiting) {
      if ((this.#runningOfUser.get(userId) ?? 0) >= SLOTS_OF_USER) continue
      const item = items.shift()
      waiting.delete(userId)
      if (items.length > 0) waiting.set(userId, items)
      return item
    }
    return undefined
  }

  /** Twice the slots, so that none is free for long. A user who has none there finds a place beside users who have many. */
  #hasPlace(origin: Origin<Item>, userId: string): boolean {
    if (this.#limits.isSingle) return true
    const held = [...origin.held.values()].reduce((sum, count) => sum + count, 0)
    const places = 2 * this.#slotsOf(origin)
    return held < places || (!origin.held.has(userId) && held < 3 * places)
  }

  #slotsOf({ quick }: Origin<Item>): number {
    return quick ? this.#limits.slots : this.#limits.slowSlots
  }

  #originOf(name: string): Origin<Item> {
    const known = this.#origins.get(name)
    if (known) return known
    if (this.#origins.size >= KEPT) forget(this.#origins, ({ held }) => held.size === 0)
    const origin: Origin<Item> = { waiting: new Map(), held: new Map(), running: 0, quick: null, turnAt: 0 }
    this.#origins.set(name, origin)
    return origin
  }

  #userOf(id: string): User {
    const known = this.#users.get(id)
    if (known) return known
    const now = performance.now()
    if (this.#users.size >= KEPT) forget(this.#users, ({ tokenAt, turnAt }) => tokenAt < now && turnAt < now)
    const user = { tokenAt: 0, turnAt: 0 }
    this.#users.set(id, user)
    return user
  }
}

const TOKEN_MS = 60_000 / USER_PER_MINUTE

function hasToken({ tokenAt }: User): boolean {
  return tokenAt - performance.now() <= 60_000 - TOKEN_MS
}

function takeToken(user: User): void {
  user.tokenAt = Math.max(user.tokenAt, performance.now()) + TOKEN_MS
}

/** One after the other, `perSecond` of them. From `longest` on they come back in no order, and ask again. */
function nextTurn(line: { turnAt: number }, earliestSeconds: number, perSecond: number, longest: number): number {
  const now = performance.now()
  const earliest = now + Math.max(earliestSeconds, SHORTEST_WAIT_SECONDS) * 1000
  line.turnAt = Math.min(Math.max(line.turnAt, earliest) + 1000 / perSecond, earliest + longest * 1000)
  const seconds = (line.turnAt - now) / 1000
  return seconds < longest ? seconds : longest * (0.5 + Math.random() / 2)
}

/** A tenth of them, from those on that were not used for longest. */
function forget<Value>(known: Map<string, Value>, isIdle: (value: Value) => boolean): void {
  for (const [key, value] of known) {
    if (known.size < 0.9 * KEPT) return
    if (isIdle(value)) known.delete(key)
  }
}

function add(counts: Map<string, number>, key: string, count: number): void {
  const sum = (counts.get(key) ?? 0) + count
  if (sum > 0) counts.set(key, sum)
  else counts.delete(key)
}
