import type { Logger } from 'pino'
import type { WebSocket } from 'ws'
import { framesSent } from '../ops/metrics.ts'
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
  readonly #frameBudget: number
  readonly #drained: () => void
  #full = false
  #spent = { since: 0, cost: 0 }
  #bad = { since: 0, frames: 0 }
  #heartbeat: NodeJS.Timeout | undefined
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
    this.#frameBudget = frameBudget
    this.#drained = () => drained(this)
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

  /** Pings; only a pong that carries the ping's number counts, which a client that reads nothing cannot know. */
  startHeartbeat(): void {
    let [number, answered] = [Math.floor(Math.random() * 1e9), true]
    this.socket.on('pong', (data) => {
      answered ||= data.toString() === String(number)
    })
    this.#heartbeat = setInterval(() => {
      if (!answered) return this.close('timeout', 'no pong in time')
      answered = false
      number += 1
      this.socket.ping(String(number))
    }, this.#limits.heartbeatMs)
  }

  /** Closes the socket when its token ends, unless a new one comes first. */
  expireAt(time: number): void {
    clearTimeout(this.#expiry)
    if (!this.open) return
    this.#expiry = setTimeout(() => this.close('badToken', 'the token has expired'), Math.max(0, time - Date.now()))
  }

  /** Whether the socket may send one more frame of this cost in this window. */
  maySpend(cost: number): boolean {
    const now = Date.now()
    if (now - this.#spent.since >= this.#limits.frameWindowMs) this.#spent = { since: now, cost: 0 }
    this.#spent.cost += cost
    return this.#spent.cost <= this.#frameBudget
  }

  /** Counts a frame that was not understood; false when there were too many. */
  mayErr(): boolean {
    const now = Date.now()
    if (now - this.#bad.since >= this.#limits.badFramesWindowMs) this.#bad = { since: now, frames: 0 }
    this.#bad.frames += 1
    return this.#bad.frames <= this.#limits.badFrames
  }

  #stopTimers(): void {
    clearInterval(this.#heartbeat)
    clearTimeout(this.#expiry)
    clearTimeout(this.#closing)
  }
}
