import type { App } from '../../app.ts'
import { isTransient } from '../../base/failure.ts'
import { PushedLog } from '../../notify/delivery-log/pushed.ts'
import {
  type ChangesRequest,
  changesSince,
  type InboxChanges,
  MAX_OCTETS,
  toChanges,
} from '../../notify/inbox/changes.ts'
import { Budgets } from '../connections/budget.ts'
import type { Session } from '../connections/session.ts'
import type { Limits } from '../limits.ts'
import { advance } from './cursor.ts'

/** A read that failed is tried again after this; somebody who fails alone, ever more rarely. */
const FAILED_READ_MS = 500
const FAILED_READ_AT_MOST_MS = 30_000
/** Rows that were notified but are not visible yet (two-phase commit) are looked for again, ever more slowly. */
const INVISIBLE_MS = 20
const INVISIBLE_TRIES = 8
/** Between two reads for hints about a user of whom the last hint was not true. */
const BETWEEN_DOUBTFUL_MS = 100

/** The sockets of one user on this node. */
type User = {
  id: string
  sessions: Set<Session>
  /** Highest modseq heard of. */
  heard: number
  /** Reads that did not find what was heard of. */
  missed: number
  /** Reads that failed for this user alone, one after the other. */
  failures: number
  /** Not before this time, by the clock of performance.now() as all times here, is the next live frame sent. */
  notBefore: number
}

/**
 * Who is connected here and how far each socket has come. Whoever may be behind is due; a tick reads what changed for all
 * that are due in one statement and sends it. One tick runs at a time: what happens meanwhile is gathered for the next.
 * Catching up, live, and coming back after a full buffer are the same read: everything after the socket's cursor.
 */
export class Hub {
  readonly #app: App
  readonly #limits: Limits
  readonly #pushed: PushedLog
  readonly #users = new Map<string, User>()
  /** What all sockets of a user together may spend on frames. */
  readonly #budgets: Budgets
  /** Users to be read, and from when on; in the order in which they came. */
  readonly #due = new Map<User, number>()
  #timer: NodeJS.Timeout | undefined
  #nextTick = Number.POSITIVE_INFINITY
  #ticking: Promise<void> | undefined
  #closed = false

  constructor(app: App, limits: Limits) {
    this.#app = app
    this.#limits = limits
    this.#pushed = new PushedLog(app)
    this.#budgets = new Budgets(Math.max(1, limits.userFrameBudget * app.config.rateLimitScale), limits.frameWindowMs)
  }

  /** False when the user has too many sockets already. */
  join(session: Session, userId: string): boolean {
    const user = this.#users.get(userId) ?? newUser(userId)
    const open = [...user.sessions].filter((other) => other.open)
    if (open.length >= this.#limits.socketsPerUser) return false
    user.sessions.add(session)
    this.#users.set(userId, user)
    return true
  }

  leave(session: Session): void {
    const user = this.#userOf(session)
    if (!user?.sessions.delete(session) || user.sessions.size > 0) return
    this.#users.delete(user.id)
    this.#due.delete(user)
  }

  /** Whether its user may send one more frame of this cost, over all sockets here. */
  maySpend(session: Session, cost: number): boolean {
    return !session.identity || this.#budgets.of(session.identity.userId).spend(cost)
  }

  /** The inbox of this user has reached this modseq, says a hint that anybody could have sent. */
  heard(userId: string, modseq: number): void {
    const user = this.#users.get(userId)
    if (!user || modseq <= user.heard) return
    user.heard = modseq
    const wait = user.missed > 0 ? BETWEEN_DOUBTFUL_MS : 0
    this.#readIfBehind(user, Math.max(user.notBefore, performance.now() + wait))
  }

  /** Reads for this socket soon: it can be written to again, or has just said hello, and its inbox is at this modseq. */
  readFor(session: Session, modseq = 0): void {
    const user = this.#userOf(session)
    if (!user) return
    user.heard = Math.max(user.heard, modseq)
    this.#readIfBehind(user, 0)
  }

  /** Hints were lost: everybody may be behind. */
  doubtAll(): void {
    for (const user of this.#users.values()) this.#doubt(user)
  }

  /** What the database says about this inbox; whoever is elsewhere is read for. */
  compare(userId: string, epoch: string, modseq: number): void {
    const user = this.#users.get(userId)
    if (!user) return
    user.heard = Math.max(user.heard, modseq)
    for (const session of user.sessions) session.unsure ||= session.epoch !== epoch || session.sent !== modseq
    this.#readIfBehind(user, 0)
  }

  userIds(): string[] {
    return [...this.#users.keys()]
  }

  sessions(): Session[] {
    return [...this.#users.values()].flatMap((user) => [...user.sessions])
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    await this.#ticking
    await this.#pushed.close()
  }

  #userOf(session: Session): User | undefined {
    return session.identity ? this.#users.get(session.identity.userId) : undefined
  }

  #doubt(user: User): void {
    for (const session of user.sessions) session.unsure = true
    this.#readIfBehind(user, 0)
  }

  #readIfBehind(user: User, from: number): void {
    if (![...user.sessions].some((session) => isBehind(session, user))) return
    const time = user.failures > 0 ? Math.max(from, user.notBefore) : from
    this.#due.set(user, Math.min(time, this.#due.get(user) ?? time))
    this.#tickAt(time)
  }

  #tickAt(time: number): void {
    if (this.#closed || this.#ticking || time >= this.#nextTick) return
    this.#nextTick = time
    clearTimeout(this.#timer)
    const wait = time - performance.now()
    // The shortest timeout is a millisecond.
    if (wait <= 0) setImmediate(() => this.#startTick())
    else this.#timer = setTimeout(() => this.#startTick(), wait)
  }

  #startTick(): void {
    if (this.#closed || this.#ticking) return
    this.#nextTick = Number.POSITIVE_INFINITY
    this.#ticking = this.#tick().finally(() => {
      this.#ticking = undefined
      let next = Number.POSITIVE_INFINITY
      for (const time of this.#due.values()) next = Math.min(next, time)
      this.#tickAt(next)
    })
  }

  /** Users are read together. When that fails for one of them, each is read alone, so that nobody else is held up. */
  async #tick(): Promise<void> {
    const users = this.#takeDue()
    const err = await this.#readAll(users)
    if (err === undefined) return
    if (users.length === 1 || isTransient(err)) return this.#putOff(users, err)
    for (const [index, user] of users.entries()) {
      const failure = await this.#readAll([user])
      // With the database itself in trouble the others would wait for one failure after the other.
      if (isTransient(failure)) return this.#putOff(users.slice(index), failure)
      if (failure !== undefined) this.#putOff([user], failure)
    }
  }

  /** Who failed alone before is taken alone; of those who have much to catch up with, only so many that the others need not wait. */
  #takeDue(): User[] {
    const { usersPerRead, itemsPerRead, itemsOfLive } = this.#limits
    const now = performance.now()
    const users: User[] = []
    let items = 0
    for (const [user, time] of this.#due) {
      if (time > now || (user.failures > 0 && users.length > 0)) continue
      const wanted = readingsOf(user).reduce((sum, reading) => sum + this.#wantedBy(reading), 0)
      const catchesUp = wanted > itemsOfLive
      if (catchesUp && items > 0 && items + wanted > itemsPerRead) continue
      if (catchesUp) items += wanted
      users.push(user)
      this.#due.delete(user)
      if (user.failures > 0 || users.length === usersPerRead) break
    }
    return users
  }

  /** Items to be read at most: as many as there are, if what was heard is true, and a few that nobody spoke of. */
  #wantedBy({ user, since }: Reading): number {
    const { itemsPerFrame, itemsOfLive } = this.#limits
    return Math.min(itemsPerFrame, Math.max(itemsOfLive, user.heard - since))
  }

  /** What went wrong, or undefined. */
  async #readAll(users: User[]): Promise<unknown> {
    const readings = users.flatMap((user) => readingsOf(user))
    for (const session of readings.flatMap(({ sessions }) => sessions)) session.unsure = false
    try {
      // A call answers one reading per user; sockets of one user at different states are read for one after the other.
      const rounds = Math.max(0, ...readings.map((reading) => reading.round + 1))
      for (let round = 0; round < rounds; round += 1) await this.#read(readings.filter((r) => r.round === round))
    } catch (err) {
      for (const reading of readings) for (const session of reading.sessions) session.unsure = true
      return err
    }
    for (const user of users) user.failures = 0
    return undefined
  }

  #putOff(users: User[], err: unknown): void {
    this.#app.log.warn({ err, users: users.length, userId: users[0]?.id }, 'cannot read what changed, trying again')
    for (const user of users) {
      const wait = Math.min(FAILED_READ_AT_MOST_MS, FAILED_READ_MS * 2 ** user.failures)
      user.notBefore = performance.now() + wait
      if (!isTransient(err)) user.failures += 1
      this.#readIfBehind(user, user.notBefore)
    }
  }

  async #read(readings: Reading[]): Promise<void> {
    const octets = Math.min(MAX_OCTETS, Math.floor(this.#limits.octetsPerRead / readings.length))
    const requests = readings.map((reading): ChangesRequest => {
      const { user, since } = reading
      return { userId: user.id, since, limit: this.#wantedBy(reading), octets }
    })
    const answers = await changesSince(this.#app, requests)
    for (const reading of readings) {
      const changes = answers.get(reading.user.id)
      if (changes) this.#deliver(reading, changes)
    }
  }

  /** Sends a reading to its sockets, serialised once, and sees to what is left. */
  #deliver({ user, since, sessions }: Reading, changes: InboxChanges): void {
    let text: string | undefined
    const serialised = () => {
      text ??= JSON.stringify({ type: 'changes', ...toChanges(changes) })
      return text
    }
    for (const session of sessions) if (session.open && session.sent === since) advance(session, changes, serialised)
    if (text !== undefined)
      this.#pushed.add(
        user.id,
        changes.upserts.map((notification) => notification.id),
      )
    if (text !== undefined && !changes.more) user.notBefore = performance.now() + this.#limits.betweenFramesMs
    // What is left of it is read at once, whoever spoke of it.
    user.heard = Math.max(user.heard, changes.modseq)
    if (changes.modseq >= user.heard) user.missed = 0
    else if (user.missed >= INVISIBLE_TRIES) user.heard = changes.modseq
    const wait = changes.modseq < user.heard ? INVISIBLE_MS * 2 ** user.missed++ : 0
    this.#readIfBehind(user, changes.more ? 0 : Math.max(user.notBefore, performance.now() + wait))
  }
}

function newUser(id: string): User {
  return { id, sessions: new Set(), heard: 0, missed: 0, failures: 0, notBefore: 0 }
}

/** Sockets of one user that stand at the same state. */
type Reading = { user: User; since: number; sessions: Session[]; round: number }

/** Sockets whose buffer is full are left out: they are simply behind until they drain. */
function readingsOf(user: User): Reading[] {
  const behind = [...user.sessions].filter((session) => isBehind(session, user))
  const bySince = Map.groupBy(behind, (session) => session.sent)
  return [...bySince].map(([since, sessions], round) => ({ user, since, sessions, round }))
}

function isBehind(session: Session, user: User): boolean {
  if (session.phase === 'hello' || !session.open || session.full) return false
  return session.phase === 'catchUp' || session.unsure || session.sent < user.heard
}
