import type { Logger } from 'pino'
import type { WebSocket } from 'ws'
import { emitFailures, framesSent, rejectedHellos } from '../../base/metrics.ts'
import { type CloseReason, closeCodes } from '../../protocol/close-codes.ts'
import type { ServerFrame } from '../../protocol/frames.ts'
import type { CommentWatch } from '../hub/live-comments.ts'
import type { FeedWatch } from '../hub/live-feeds.ts'
import type { Limits } from '../limits.ts'
import { Budget } from './budget.ts'

const DAY_MS = 86_400_000

export type Identity = { userId: string; sessionId: string }

/** One socket: a cursor into its user's inbox, and the limits of what it may cost. */
export class Session {
  readonly socket: WebSocket
  /** Null until the token of `hello` was good. */
  identity: Identity | null = null

  /** The cursor: the state last sent on this socket. Goes down only with a `reset`. */
  epoch = ''
  sent = 0
  /** `hello`: not read for; `catchUp`: a first read is due, whatever was heard; `live`: read for when something changed. */
  phase: 'hello' | 'catchUp' | 'live' = 'hello'
  /** False for a client that came without a state: purged tombstones cannot concern it. */
  resumes = false
  /** It may be behind without our having heard of it: after lost notifications, or after it could not be written to. */
  unsure = false
  /** Notifications sent in the catch-up. */
  caughtUp = 0

  /** Watched posts and the counts last sent of them; replaced, never added to: most sockets share the empty one. */
  watched = watchesNothing
  comments: CommentWatch | undefined
  feed: FeedWatch | undefined

  readonly #logger: Logger
  readonly #limits: Limits
  readonly #frames: Budget
  #badFrames: Budget | undefined
  readonly #drained: (session: Session) => void
  #full = false
  /** Carried by the last ping; where it begins, nobody can know who does not read. */
  #beats = Math.floor(Math.random() * 1e9)
  #answered = true
  /** One at a time: for the hello, then for the end of the token, then for the closing handshake. */
  #timer: NodeJS.Timeout | undefined

  constructor(
    socket: WebSocket,
    logger: Logger,
    limits: Limits,
    frameBudget: number,
    drained: (session: Session) => void,
  ) {
    this.socket = socket
    this.#logger = logger
    this.#limits = limits
    this.#frames = new Budget(frameBudget, limits.frameWindowMs)
    this.#drained = drained
    socket.on('pong', (data) => {
      this.#answered ||= data.toString() === String(this.#beats)
    })
  }

  /** A line with who it is about. Not a child logger: an idle socket has no use for one. */
  log(level: 'debug' | 'info' | 'error', fields: object, message: string): void {
    this.#logger[level]({ ...this.identity, ...fields }, message)
  }

  get open(): boolean {
    return this.socket.readyState === this.socket.OPEN
  }

  /** Too much is waiting in the socket's buffer; `drained` is called once it no longer is. */
  get full(): boolean {
    this.#full ||= this.socket.bufferedAmount > this.#limits.maxBuffered
    return this.#full
  }

  send(frame: ServerFrame): void {
    this.sendText(frame.type, JSON.stringify(frame))
  }

  /** Sends a frame that was serialised before, for several sockets. */
  sendText(type: ServerFrame['type'], text: string): void {
    if (!this.open) return
    framesSent.inc({ type })
    this.socket.send(text, this.#written)
  }

  /** A buffer above the limit always has a write outstanding, so one of these calls sees it fall below. */
  #written = (err?: Error | null): void => {
    if (err) emitFailures.inc()
    if (err || !this.#full || this.socket.bufferedAmount > this.#limits.maxBuffered / 2) return
    this.#full = false
    this.unsure = true
    this.#drained(this)
  }

  /** Closes the socket when no frame comes soon; `stopTimer` when one has come. */
  expectHello(): void {
    this.#startTimer(this.#limits.helloMs, () => {
      rejectedHellos.inc({ code: String(closeCodes.timeout[0]) })
      this.close('timeout', 'no hello in time')
    })
  }

  /** Starts the closing handshake; who does not take part in it is cut off. */
  close(reason: CloseReason, detail?: string): void {
    if (!this.open) return
    const [code, text] = closeCodes[reason]
    this.log('info', { code, detail }, 'closing the socket')
    this.socket.close(code, detail ?? text)
    this.#startTimer(this.#limits.closeMs, () => this.socket.terminate())
  }

  /** Pings; a socket that has not answered the ping before, with its number, is dead. */
  beat(): void {
    if (!this.#answered) this.close('timeout', 'no pong in time')
    if (!this.open) return
    this.#answered = false
    this.#beats += 1
    this.socket.ping(String(this.#beats))
  }

  /** Closes the socket when its token ends, unless a new one comes first. A timer runs for 24 days at most. */
  expireAt(time: number): void {
    if (!this.open) return
    const wait = Math.max(0, time - Date.now())
    this.#startTimer(Math.min(wait, DAY_MS), () =>
      wait > DAY_MS ? this.expireAt(time) : this.close('badToken', 'the token has expired'),
    )
  }

  /** Whether the socket may send one more frame of this cost in this window. */
  maySpend(cost: number): boolean {
    return this.#frames.spend(cost)
  }

  /** Counts a frame that was not understood; false when there were too many. */
  mayErr(): boolean {
    this.#badFrames ??= new Budget(this.#limits.badFrames, this.#limits.badFramesWindowMs)
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
