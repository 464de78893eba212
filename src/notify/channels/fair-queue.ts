/**
 * Destination of a message: the provider's origin and the recipient. Critical messages skip the turns of their user.
 */
export type Place = { origin: string; userId: string; critical: boolean }

export type Limits = {
  /** Concurrent messages to an origin that answers quickly. */
  slots: number
  /** Concurrent messages to an origin that was slow or failed last time, or has not answered yet. */
  slowSlots: number
  /** Messages per second that an origin accepts. */
  perSecond: number
  /** All messages go to one origin. No origin needs to pass another, so no message is postponed for lack of a slot. */
  isSingle?: boolean
}

/**
 * Concurrent messages in total. Origins that are not known to be quick share half of them, so slow ones never occupy
 * all.
 */
const SLOTS = 200
const SLOTS_OF_SLOW = SLOTS / 2
const SLOTS_OF_USER = 10
/** Maximum number of messages in memory, waiting or in flight. */
const HELD = 600
/** Rate assumed for slow origins. */
const SLOW_PER_SECOND = 2
/** Messages per user and minute. Further ones are sent later. Twenty browsers use it up with six notifications. */
export const USER_PER_MINUTE = 120
const LONGEST_WAIT_OF_ORIGIN_SECONDS = 300
const LONGEST_WAIT_OF_USER_SECONDS = 3600
const SHORTEST_WAIT_SECONDS = 0.25
/** Maximum number of origins and users in memory. Users can name any number of origins. */
const KEPT = 1000

type Origin<Item> = {
  waiting: Map<string, Item[]>
  /** Messages per user that wait, are in flight, or have a slot and are still being checked. */
  held: Map<string, number>
  running: number
  /** Whether the last answer was quick; null before the first answer. */
  quick: boolean | null
  /** Turn of the last postponed message, in ms of `performance.now()`. */
  turnAt: number
}

/** `tokenAt`: when the rate limit has recovered from all sent messages, in ms of `performance.now()`. */
type User = { tokenAt: number; turnAt: number }

/**
 * Messages of one channel that a process has taken: a few per user and origin, sent in turn. So nobody waits for slow
 * providers or for users with many messages. A message without a slot is postponed until its turn and uses no memory.
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

  /** Whether there is enough room to look for more messages. */
  get hasRoom(): boolean {
    return this.#held < HELD / 2
  }

  /**
   * Returns the seconds until the message may ask again. 0: it has a slot now, until `leave` or `done`. Each postponed
   * message gets its own turn, so a long queue is not rewritten repeatedly. `closedSeconds`: how long its origin
   * receives nothing.
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

  /** Frees the message's slot. */
  leave(place: Place): void {
    this.#held -= 1
    add(this.#originOf(place.origin).held, place.userId, -1)
  }

  /** Queues the message in its slot. */
  push(item: Item): void {
    const { waiting } = this.#originOf(item.origin)
    const items = waiting.get(item.userId) ?? []
    if (item.critical) items.unshift(item)
    else items.push(item)
    waiting.set(item.userId, items)
  }

  /** The next message to send: origins take turns, and so do the users of each origin. */
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

  /** The message was sent. `quick`: whether the provider answered quickly; null: the message was not tried. */
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

  /** Removes and returns the waiting messages. */
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

  /**
   * Allows twice as many places as slots, so that no slot is idle for long. A user without a place gets one even beside
   * users who have many.
   */
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

/**
 * Assigns turns one after the other, `perSecond` a second. Beyond `longest`, messages return in no order and ask again.
 */
function nextTurn(line: { turnAt: number }, earliestSeconds: number, perSecond: number, longest: number): number {
  const now = performance.now()
  const earliest = now + Math.max(earliestSeconds, SHORTEST_WAIT_SECONDS) * 1000
  line.turnAt = Math.min(Math.max(line.turnAt, earliest) + 1000 / perSecond, earliest + longest * 1000)
  const seconds = (line.turnAt - now) / 1000
  return seconds < longest ? seconds : longest * (0.5 + Math.random() / 2)
}

/** Forgets a tenth of the entries, the least recently used first. */
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
