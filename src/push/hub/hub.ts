import type { App } from '../../app.ts'
import { backoff, isTransient } from '../../base/failure.ts'
import { Pulse } from '../../base/pulse.ts'
import { scaledLimit } from '../../config.ts'
import { PushedLog } from '../../notify/delivery-log/append.ts'
import {
  type ChangesRequest,
  changesSince,
  type InboxChanges,
  MAX_OCTETS,
  toChanges,
} from '../../notify/inbox/changes.ts'
import { Budgets } from '../connections/budget.ts'
import type { Connection } from '../connections/connection.ts'
import type { Limits } from '../limits.ts'

/** Delay before a failed read is retried. The delay grows for a user whose reads fail alone. */
const FAILED_READ_MS = 500
const FAILED_READ_AT_MOST_MS = 30_000
/**
 * Delay before rows are read again that a hint named but that are not visible yet (two-phase commit). The delay grows.
 */
const INVISIBLE_MS = 20
const INVISIBLE_TRIES = 8
/** Minimum time between two reads for hints about a user whose last hint was false. */
const BETWEEN_DOUBTFUL_MS = 100

/** The sockets of one user on this node. */
type User = {
  id: string
  connections: Set<Connection>
  /** The highest modseq that a hint named. */
  heard: number
  /** Reads that did not find the modseq of a hint. */
  missed: number
  /** Consecutive reads that failed for this user alone. */
  failures: number
  /** Earliest time of the next live frame. Like all times here, by `performance.now()`. */
  notBefore: number
}

/**
 * Holds the connected users and the cursor of each socket. A user who may be behind becomes due. A tick reads the changes of
 * all due users in one statement and sends them. Only one tick runs at a time. Catch-up, live changes and recovery from a full
 * buffer use the same read.
 */
export class Hub {
  readonly #app: App
  readonly #limits: Limits
  readonly #pushed: PushedLog
  readonly #users = new Map<string, User>()
  /** Limits the cost of frames of all sockets of a user together. */
  readonly #budgets: Budgets
  /** Users to read, with the earliest time of each, in order of arrival. */
  readonly #due = new Map<User, number>()
  readonly #ticks = new Pulse(() => this.#tick())

  constructor(app: App, limits: Limits) {
    this.#app = app
    this.#limits = limits
    this.#pushed = new PushedLog(app)
    this.#budgets = new Budgets(scaledLimit(app.config, limits.userFrameBudget), limits.framePeriodMs)
  }

  /** Adds a socket to its user. False if the user has too many. */
  join(connection: Connection, userId: string): boolean {
    const user = this.#users.get(userId) ?? newUser(userId)
    const open = [...user.connections].filter((other) => other.open)
    if (open.length >= this.#limits.socketsPerUser) return false
    user.connections.add(connection)
    this.#users.set(userId, user)
    return true
  }

  leave(connection: Connection): void {
    const user = this.#userOf(connection)
    if (!user?.connections.delete(connection) || user.connections.size > 0) return
    this.#users.delete(user.id)
    this.#due.delete(user)
  }

  /** Whether the user may send another frame of this cost, counted over all sockets on this node. */
  maySpend(connection: Connection, cost: number): boolean {
    return !connection.identity || this.#budgets.of(connection.identity.userId).spend(cost)
  }

  /** Handles a hint that the inbox has reached this modseq. Anyone could have sent it. */
  heard(userId: string, modseq: number): void {
    const user = this.#users.get(userId)
    if (!user || modseq <= user.heard) return
    user.heard = modseq
    const wait = user.missed > 0 ? BETWEEN_DOUBTFUL_MS : 0
    this.#readIfBehind(user, Math.max(user.notBefore, performance.now() + wait))
  }

  /** Schedules a read for a socket that has drained or has just sent its hello. `modseq`: the state of its inbox. */
  readFor(connection: Connection, modseq = 0): void {
    const user = this.#userOf(connection)
    if (!user) return
    user.heard = Math.max(user.heard, modseq)
    this.#readIfBehind(user, 0)
  }

  /** Reads all users again, because hints were lost and every socket may be behind. */
  doubtAll(): void {
    for (const user of this.#users.values()) this.#doubt(user)
  }

  /** Compares the inbox's state in the database with the user's sockets. Those that differ are read. */
  compare(userId: string, epoch: string, modseq: number): void {
    const user = this.#users.get(userId)
    if (!user) return
    user.heard = Math.max(user.heard, modseq)
    for (const connection of user.connections)
      connection.unsure ||= connection.epoch !== epoch || connection.sent !== modseq
    this.#readIfBehind(user, 0)
  }

  userIds(): string[] {
    return [...this.#users.keys()]
  }

  connections(): Connection[] {
    return [...this.#users.values()].flatMap((user) => [...user.connections])
  }

  async close(): Promise<void> {
    await this.#ticks.close()
    await this.#pushed.close()
  }

  #userOf(connection: Connection): User | undefined {
    return connection.identity ? this.#users.get(connection.identity.userId) : undefined
  }

  #doubt(user: User): void {
    for (const connection of user.connections) connection.unsure = true
    this.#readIfBehind(user, 0)
  }

  #readIfBehind(user: User, from: number): void {
    if (![...user.connections].some((connection) => isBehind(connection, user))) return
    const time = user.failures > 0 ? Math.max(from, user.notBefore) : from
    this.#due.set(user, Math.min(time, this.#due.get(user) ?? time))
    this.#ticks.request(time)
  }

  /** Reads the users who are due, and requests the next tick for the others. */
  async #tick(): Promise<void> {
    await this.#readDue()
    let next = Number.POSITIVE_INFINITY
    for (const time of this.#due.values()) next = Math.min(next, time)
    this.#ticks.request(next)
  }

  /**
   * Reads users together. When that fails because of one of them, reads each alone, so that one user does not block the
   * others.
   */
  async #readDue(): Promise<void> {
    const users = this.#takeDue()
    const err = await this.#readAll(users)
    if (err === undefined) return
    if (users.length === 1 || isTransient(err)) return this.#putOff(users, err)
    for (const [index, user] of users.entries()) {
      const failure = await this.#readAll([user])
      // The database itself is in trouble: do not wait for one failure after the other.
      if (isTransient(failure)) return this.#putOff(users.slice(index), failure)
      if (failure !== undefined) this.#putOff([user], failure)
    }
  }

  /**
   * Takes the users to read next. A user whose last read failed is read without others. Limits the users who catch up, so
   * that the others do not wait.
   */
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

  /** Maximum items to read: as many as the hint implies, plus a few without a hint. */
  #wantedBy({ user, since }: Reading): number {
    const { itemsPerFrame, itemsOfLive } = this.#limits
    return Math.min(itemsPerFrame, Math.max(itemsOfLive, user.heard - since))
  }

  /** Reads and sends the changes of these users. Returns the error, or undefined. */
  async #readAll(users: User[]): Promise<unknown> {
    const readings = users.flatMap((user) => readingsOf(user))
    for (const connection of readings.flatMap(({ connections }) => connections)) connection.unsure = false
    try {
      // A call returns one reading per user. A user's sockets with different states are read in successive rounds.
      const rounds = Math.max(0, ...readings.map((reading) => reading.round + 1))
      for (let round = 0; round < rounds; round += 1) await this.#read(readings.filter((r) => r.round === round))
    } catch (err) {
      for (const reading of readings) for (const connection of reading.connections) connection.unsure = true
      return err
    }
    for (const user of users) user.failures = 0
    return undefined
  }

  #putOff(users: User[], err: unknown): void {
    this.#app.log.warn({ err, users: users.length, userId: users[0]?.id }, 'cannot read changes; retrying')
    for (const user of users) {
      const wait = backoff({ first: FAILED_READ_MS, longest: FAILED_READ_AT_MOST_MS }, user.failures)
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

  /** Sends a reading to its sockets, serialised once, and schedules the rest. */
  #deliver({ user, since, connections }: Reading, changes: InboxChanges): void {
    let text: string | undefined
    const serialised = () => {
      text ??= JSON.stringify({ type: 'changes', ...toChanges(changes) })
      return text
    }
    const sessions = new Set<string>()
    for (const connection of connections)
      if (connection.open && connection.sent === since && connection.advance(changes, serialised))
        sessions.add(connection.identity?.sessionId ?? '0')
    if (sessions.size > 0) {
      const ids = changes.upserts.map((notification) => notification.id)
      this.#pushed.add(user.id, ids, changes.to, [...sessions])
    }
    if (text !== undefined && !changes.more) user.notBefore = performance.now() + this.#limits.betweenFramesMs
    // The rest is read at once, even without a hint.
    user.heard = Math.max(user.heard, changes.modseq)
    if (changes.modseq >= user.heard) user.missed = 0
    else if (user.missed >= INVISIBLE_TRIES) user.heard = changes.modseq
    const wait = changes.modseq < user.heard ? INVISIBLE_MS * 2 ** user.missed++ : 0
    this.#readIfBehind(user, changes.more ? 0 : Math.max(user.notBefore, performance.now() + wait))
  }
}

function newUser(id: string): User {
  return { id, connections: new Set(), heard: 0, missed: 0, failures: 0, notBefore: 0 }
}

/** Sockets of one user with the same state. */
type Reading = { user: User; since: number; connections: Connection[]; round: number }

/** Omits sockets whose buffer is full. They remain behind until they drain. */
function readingsOf(user: User): Reading[] {
  const behind = [...user.connections].filter((connection) => isBehind(connection, user))
  const bySince = Map.groupBy(behind, (connection) => connection.sent)
  return [...bySince].map(([since, connections], round) => ({ user, since, connections, round }))
}

function isBehind(connection: Connection, user: User): boolean {
  if (connection.phase === 'hello' || !connection.open || connection.full) return false
  return connection.phase === 'catchUp' || connection.unsure || connection.sent < user.heard
}
