import { SignedOut } from './errors.ts'
import type { ClientFrame, ServerFrame } from './protocol.ts'
import { BAD_TOKEN, REFUSED_CODES, SIGNED_OUT, TOO_MANY, waitAfter } from './reconnect.ts'
import { claimsOf, type Tokens } from './rest.ts'
import { Socket, type WebSocketLike } from './socket.ts'
import type { Watched, WatchFrame } from './watching.ts'

export type ConnectionStatus =
  /** The client is not started yet, or stopped. */
  | 'stopped'
  | 'connecting'
  /** Connected. The server sends the missed changes. */
  | 'catchingUp'
  | 'live'
  /** The connection is lost. The next attempt is at `retryAt`. */
  | 'waiting'
  /** The browser reports that it is offline. */
  | 'offline'
  /** The session has ended. A new sign-in needs a new client. */
  | 'signedOut'
  /** The server refuses this client permanently, for the reason `closeCode`. */
  | 'refused'

export type ConnectionSnapshot = {
  status: ConnectionStatus
  /** Last time the status was `live`, in milliseconds since 1970. Undefined if it never was. */
  liveUntil: number | undefined
  /** Time of the next attempt, in milliseconds since 1970. */
  retryAt: number | undefined
  closeCode: number | undefined
  /** Number of changes not yet received while `catchingUp`, if known. */
  missing: number | undefined
  /** True if this tab holds the socket. */
  isLeader: boolean
}

export type LinkOptions = {
  open(): WebSocketLike
  tokens: Tokens
  /** Called before each attempt, to load what `since` needs. */
  prepare(): Promise<unknown>
  since(): string | undefined
  /** Processes a frame about the inbox. The next frame waits for it. */
  take(frame: ServerFrame): Promise<void> | void
  /** The frame that subscribes to what the page watches. Undefined if nothing was ever watched. */
  watching(): WatchFrame | undefined
  /** Called when the server has processed that frame, with what began by it. */
  watched(began: Watched): void
  report(part: Partial<ConnectionSnapshot>): void
}

const OFFLINE_MS = 60_000

/** Keeps one socket open, from `start` to `stop`. */
export class Link {
  readonly #options: LinkOptions
  #run: AbortController | undefined
  #socket: Socket | undefined
  #nudge: (() => void) | undefined
  #isPatient = false
  /** The token that the socket used last. */
  #token: string | undefined
  #renewal: ReturnType<typeof setTimeout> | undefined
  /** The subscription that the socket sent last. Undefined before its welcome. */
  #sent: Omit<WatchFrame, 'type'> | undefined

  constructor(options: LinkOptions) {
    this.#options = options
  }

  start(): void {
    if (this.#run) return
    this.#run = new AbortController()
    void this.#loop(this.#run.signal)
  }

  stop(): void {
    this.#run?.abort()
    this.#run = undefined
    this.#socket?.end(1000)
    this.#nudge?.()
  }

  send(frame: ClientFrame): void {
    this.#socket?.send(frame)
  }

  /** Subscribes to what the page watches. A feed counts from zero with each frame. */
  watch(): void {
    const before = this.#sent
    const frame = this.#options.watching()
    if (!before || !frame) return
    this.#sent = frame
    this.send(frame)
    const { comments, feed } = frame
    const began = { comments: comments === before.comments ? undefined : comments, feed }
    this.#socket?.ping(() => this.#options.watched(began))
  }

  /** Connects now instead of waiting for the next attempt. */
  retryNow(): void {
    this.#nudge?.()
  }

  /** Checks the connection when the page becomes visible or the network returns. */
  wake(): void {
    if (this.#nudge && !this.#isPatient) this.#nudge()
    else this.#socket?.probe()
  }

  lose(): void {
    this.#socket?.end(1006)
  }

  async #loop(signal: AbortSignal): Promise<void> {
    // Ignores reports of an earlier run.
    const report: LinkOptions['report'] = (part) => !signal.aborted && this.#options.report(part)
    let failures = 0
    let refused: string | undefined
    while (!signal.aborted) {
      report({ status: 'connecting', retryAt: undefined })
      const onLive = () => {
        failures = 0
        report({ status: 'live', closeCode: undefined, missing: undefined })
      }
      const code: number = await this.#attempt(signal, refused, report, onLive).catch(toCode)
      if (signal.aborted) return
      const final = code === SIGNED_OUT ? 'signedOut' : REFUSED_CODES.includes(code) ? 'refused' : undefined
      if (final) {
        this.#run = undefined
        return report({ status: final, closeCode: code, retryAt: undefined })
      }
      refused = code === BAD_TOKEN ? this.#token : undefined
      await this.#wait(waitAfter(code, failures++), code, report)
    }
  }

  /** Opens one connection. Resolves with the close code when it has ended. */
  async #attempt(
    signal: AbortSignal,
    refused: string | undefined,
    report: LinkOptions['report'],
    onLive: () => void,
  ): Promise<number> {
    const { tokens, prepare, since, take, open } = this.#options
    const token = await tokens.get(refused)
    this.#token = token
    await prepare()
    if (signal.aborted) return 1000
    const hello = (): ClientFrame => {
      const state = since()
      return state === undefined ? { type: 'hello', token } : { type: 'hello', token, since: state }
    }
    const socket = new Socket(open(), hello, async (frame) => {
      if (frame.type === 'welcome') {
        socket.beatEvery(frame.heartbeatSeconds * 1000)
        report({ status: 'catchingUp' })
        this.#sent = { posts: [] }
        this.watch()
      }
      await take(frame)
      if (frame.type === 'synced' || frame.type === 'reset') onLive()
    })
    this.#socket = socket
    this.#renewBeforeEnd(socket, token)
    try {
      return await socket.ended
    } finally {
      clearTimeout(this.#renewal)
      if (this.#socket === socket) this.#socket = this.#sent = undefined
    }
  }

  /** Sends a new token before the current one expires, so that the connection stays open. */
  #renewBeforeEnd(socket: Socket, token: string): void {
    const { exp, iat = 0 } = claimsOf(token)
    clearTimeout(this.#renewal)
    if (exp === undefined) return
    const life = (exp - iat) * 1000
    const left = exp * 1000 - Date.now()
    // Ignores the clock of the device if it is wrong by more than the lifetime of the token.
    const wait = left > 0 && left <= life ? left - Math.min(30_000, life / 4) : life / 2
    const renew = async () => {
      const next = await this.#options.tokens.get(token)
      this.#token = next
      socket.send({ type: 'token', token: next })
      if (this.#socket === socket) this.#renewBeforeEnd(socket, next)
    }
    // If renewal fails, the server closes the connection on expiry, and the next attempt gets a new token.
    this.#renewal = setTimeout(() => renew().catch(() => {}), Math.min(Math.max(wait, 1000), 2 ** 31 - 1))
  }

  async #wait(milliseconds: number, closeCode: number, report: LinkOptions['report']): Promise<void> {
    const isOffline = globalThis.navigator?.onLine === false
    const wait = isOffline ? OFFLINE_MS : milliseconds
    this.#isPatient = closeCode === TOO_MANY
    report({ status: isOffline ? 'offline' : 'waiting', retryAt: Date.now() + wait, closeCode })
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, wait)
      this.#nudge = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    this.#nudge = undefined
  }
}

function toCode(error: unknown): number {
  if (error instanceof SignedOut) return SIGNED_OUT
  const status = error instanceof Error && 'status' in error ? error.status : undefined
  return status === 401 ? BAD_TOKEN : status === 429 ? TOO_MANY : 1006
}
