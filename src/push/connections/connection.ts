import type { Logger } from 'pino'
import type { WebSocket } from 'ws'
import { emitFailures, emitted, framesSent, rejectedHellos } from '../../base/metrics.ts'
import type { InboxChanges } from '../../notify/inbox/changes.ts'
import { formatState } from '../../protocol/changes.ts'
import { type CloseReason, closeCodes } from '../../protocol/close-codes.ts'
import type { ServerFrame } from '../../protocol/frames.ts'
import type { CommentWatch } from '../hub/live-comments.ts'
import type { FeedWatch } from '../hub/live-feeds.ts'
import type { Limits } from '../limits.ts'
import { Budget } from './budget.ts'

const DAY_MS = 86_400_000

export type Identity = { userId: string; sessionId: string }

/** One socket: a cursor into its user's inbox, and the limits on its cost. */
export class Connection {
  readonly socket: WebSocket
  /** The user; null until the token of `hello` is verified. */
  identity: Identity | null = null

  /** The cursor: the state last sent on this socket. Only a `reset` lowers it. */
  epoch = ''
  sent = 0
  /** `hello`: no reads yet. `catchUp`: a first read is due, with or without a hint. `live`: reads follow changes. */
  phase: 'hello' | 'catchUp' | 'live' = 'hello'
  /** True if the client connected with a state. Only such a client is affected by purged tombstones. */
  resumes = false
  /** The socket may be behind without a hint: notifications were lost, or its buffer was full. */
  unsure = false
  /** Notifications sent during the catch-up. */
  caughtUp = 0

  /**
   * Watched posts and their counts last sent. Replaced, never changed in place, because most sockets share the empty
   * map.
   */
  watched = watchesNothing
  comments: CommentWatch | undefined
  feed: FeedWatch | undefined

  readonly #logger: Logger
  readonly #limits: Limits
  readonly #frames: Budget
  #badFrames: Budget | undefined
  readonly #drained: (connection: Connection) => void
  #full = false
  /** The number of the last ping. It starts at random, so that a client that does not read cannot guess it. */
  #beats = Math.floor(Math.random() * 1e9)
  #answered = true
  /** One timer in turn for the hello, the token's expiry and the closing handshake. */
  #timer: NodeJS.Timeout | undefined

  constructor(
    socket: WebSocket,
    logger: Logger,
    limits: Limits,
    frameBudget: number,
    drained: (connection: Connection) => void,
  ) {
    this.socket = socket
    this.#logger = logger
    this.#limits = limits
    this.#frames = new Budget(frameBudget, limits.framePeriodMs)
    this.#drained = drained
    socket.on('pong', (data) => {
      this.#answered ||= data.toString() === String(this.#beats)
    })
  }

  /** Adds the user and session to a log line. A child logger per socket would cost idle sockets memory. */
  log(level: 'debug' | 'info' | 'error', fields: object, message: string): void {
    this.#logger[level]({ ...this.identity, ...fields }, message)
  }

  get open(): boolean {
    return this.socket.readyState === this.socket.OPEN
  }

  /** The socket's buffer is above the limit. `drained` is called once it is below again. */
  get full(): boolean {
    this.#full ||= this.socket.bufferedAmount > this.#limits.maxBuffered
    return this.#full
  }

  send(frame: ServerFrame): void {
    this.sendText(frame.type, JSON.stringify(frame))
  }

  /** Sends a serialised frame, which several sockets share. */
  sendText(type: ServerFrame['type'], text: string): void {
    if (!this.open) return
    framesSent.inc({ type })
    this.socket.send(text, this.#written)
  }

  /**
   * Moves the cursor to the end of the changes read after it. The socket gets a `reset` when its cursor is unknown to the
   * inbox (another epoch, a modseq that was never reached, or one lost in a crash) or when tombstones after it have been
   * purged. Returns whether it was sent the changes. `serialised`: the frame.
   */
  advance(changes: InboxChanges, serialised: () => string): boolean {
    if (this.epoch !== changes.epoch || this.sent > changes.modseq) return this.#reset(changes, 'unknownState')
    if (this.resumes && this.sent < changes.floor) return this.#reset(changes, 'tooOld')
    const isNew = changes.to > this.sent
    if (isNew) {
      this.sendText('changes', serialised())
      emitted.inc(changes.upserts.length)
      this.log('debug', { to: changes.to, requestIds: changes.requestIds }, 'sent changes')
    }
    this.sent = changes.to
    if (this.phase === 'catchUp') this.caughtUp += changes.upserts.length
    if (changes.more) return isNew
    this.resumes = true
    if (this.phase === 'live') return isNew
    this.phase = 'live'
    this.send({ type: 'synced', state: formatState(changes.epoch, changes.to), count: this.caughtUp })
    return isNew
  }

  #reset({ epoch, modseq }: InboxChanges, reason: 'tooOld' | 'unknownState'): false {
    this.epoch = epoch
    this.sent = modseq
    this.phase = 'live'
    this.resumes = true
    this.send({ type: 'reset', reason, state: formatState(epoch, modseq) })
    return false
  }

  /** A buffer above the limit always has a pending write, so one of these callbacks sees it fall below. */
  #written = (err?: Error | null): void => {
    if (err) emitFailures.inc()
    if (err || !this.#full || this.socket.bufferedAmount > this.#limits.maxBuffered / 2) return
    this.#full = false
    this.unsure = true
    this.#drained(this)
  }

  /** Closes the socket unless a frame arrives soon. `stopTimer` cancels this. */
  expectHello(): void {
    this.#startTimer(this.#limits.helloMs, () => {
      rejectedHellos.inc({ code: String(closeCodes.timeout[0]) })
      this.close('timeout', 'no hello in time')
    })
  }

  /** Starts the closing handshake, and cuts the connection if the client does not complete it. */
  close(reason: CloseReason, detail?: string): void {
    if (!this.open) return
    const [code, text] = closeCodes[reason]
    this.log('info', { code, detail }, 'closing the socket')
    this.socket.close(code, detail ?? text)
    this.#startTimer(this.#limits.closeMs, () => this.socket.terminate())
  }

  /** Sends a ping. A socket that did not answer the previous ping, with its number, is dead. */
  beat(): void {
    if (!this.#answered) this.close('timeout', 'no pong in time')
    if (!this.open) return
    this.#answered = false
    this.#beats += 1
    this.socket.ping(String(this.#beats))
  }

  /** Closes the socket when its token expires, unless a new one arrives first. Timers run for 24 days at most. */
  expireAt(time: number): void {
    if (!this.open) return
    const wait = Math.max(0, time - Date.now())
    this.#startTimer(Math.min(wait, DAY_MS), () =>
      wait > DAY_MS ? this.expireAt(time) : this.close('badToken', 'the token has expired'),
    )
  }

  /** Whether the socket may send another frame of this cost in this period. */
  maySpend(cost: number): boolean {
    return this.#frames.spend(cost)
  }

  /** Counts an invalid frame. False when there were too many. */
  mayErr(): boolean {
    this.#badFrames ??= new Budget(this.#limits.badFrames, this.#limits.badFramesPeriodMs)
    return this.#badFrames.spend(1)
  }

  stopTimer(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
  }

  #startTimer(ms: number, run: () => void): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(run, ms)
  }
}

const watchesNothing = new Map<string, string>()
