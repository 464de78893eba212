import type { Logger } from 'pino'
import type { WebSocket } from 'ws'
import { emitFailures, framesSent } from '../ops/metrics.ts'
import { Budget } from './budget.ts'
import { type CloseReason, closeCodes } from './close-codes.ts'
import type { Limits } from './limits.ts'
import type { ServerFrame } from './protocol.ts'

export type Identity = { userId: string; sessionId: string }

/** One socket: a cursor into its user's inbox, and the limits of what it may cost. */
export class Session {
  readonly socket: WebSocket
  log: Logger
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

  /** Watched posts and the counts last sent of them. */
  watched = new Map<string, string>()

  readonly #limits: Limits
  readonly #frames: Budget
  readonly #badFrames: Budget
  readonly #drained: () => void
  #full = false
  /** Carried by the last ping; where it begins, nobody can know who does not read. */
  #beats = Math.floor(Math.random() * 1e9)
  #answered = true
  #expiry: NodeJS.Timeout | undefined
  #closing: NodeJS.Timeout | undefined

  constructor(
    socket: WebSocket,
    log: Logger,
    limits: Limits,
    frameBudget: number,
    drained: (session: Session) => void,
  ) {
    this.socket = socket
    this.log = log
    this.#limits = limits
    this.#frames = new Budget(frameBudget, limits.frameWindowMs)
    this.#badFrames = new Budget(limits.badFrames, limits.badFramesWindowMs)
    this.#drained = () => drained(this)
    socket.on('pong', (data) => {
      this.#answered ||= data.toString() === String(this.#beats)
    })
    socket.once('close', () => this.#stopTimers())
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
    this.#drained()
  }

  /** Starts the closing handshake; who does not take part in it is cut off. */
  close(reason: CloseReason, detail?: string): void {
    if (!this.open) return
    const [code, text] = closeCodes[reason]
    this.log.info({ code, detail }, 'closing the socket')
    this.socket.close(code, detail ?? text)
    this.#stopTimers()
    this.#closing = setTimeout(() => this.socket.terminate(), this.#limits.closeMs)
  }

  /** Pings; a socket that has not answered the ping before, with its number, is dead. */
  beat(): void {
    if (!this.#answered) this.close('timeout', 'no pong in time')
    if (!this.open) return
    this.#answered = false
    this.#beats += 1
    this.socket.ping(String(this.#beats))
  }

  /** Closes the socket when its token ends, unless a new one comes first. */
  expireAt(time: number): void {
    clearTimeout(this.#expiry)
    if (!this.open) return
    this.#expiry = setTimeout(() => this.close('badToken', 'the token has expired'), Math.max(0, time - Date.now()))
  }

  /** Whether the socket may send one more frame of this cost in this window. */
  maySpend(cost: number): boolean {
    return this.#frames.spend(cost)
  }

  /** Counts a frame that was not understood; false when there were too many. */
  mayErr(): boolean {
    return this.#badFrames.spend(1)
  }

  #stopTimers(): void {
    clearTimeout(this.#expiry)
    clearTimeout(this.#closing)
  }
}
