import type { ClientFrame, ServerFrame } from './protocol.ts'

/** The part of the WebSocket interface that the client uses. Browsers, Node and `ws` implement it. */
export type WebSocketLike = {
  readonly readyState: number
  send(data: string): void
  close(): void
  onopen: ((event: never) => void) | null
  onclose: ((event: never) => void) | null
  onerror: ((event: never) => void) | null
  onmessage: ((event: never) => void) | null
}

/** Milliseconds between pings, until `welcome` contains the server's value. */
const FIRST_BEAT = 5000
/** Milliseconds to wait for a pong before the connection counts as lost. */
const PATIENCE = 5000
const OPEN = 1

/** One websocket connection, from its hello to its close. */
export class Socket {
  /** Resolves with the close code when the connection has ended. */
  readonly ended: Promise<number>
  readonly #socket: WebSocketLike
  readonly #resolveEnded: (code: number) => void
  #beatMs = FIRST_BEAT
  #timer: ReturnType<typeof setTimeout> | undefined
  #isOver = false
  /** Callbacks of the pings without a pong, in order. */
  readonly #pings: ((() => void) | undefined)[] = []

  /** Processes frames one after the other. An error in `take` ends the connection. */
  constructor(socket: WebSocketLike, hello: () => ClientFrame, take: (frame: ServerFrame) => Promise<void> | void) {
    let resolveEnded: (code: number) => void = () => {}
    this.ended = new Promise((resolve) => {
      resolveEnded = resolve
    })
    this.#resolveEnded = resolveEnded
    this.#socket = socket
    this.#expectWithin(2 * FIRST_BEAT)
    socket.onopen = () => this.send(hello())
    socket.onclose = ({ code }: { code: number }) => this.end(code)
    socket.onerror = () => {}
    let last: Promise<void> = Promise.resolve()
    socket.onmessage = ({ data }: { data: unknown }) => {
      this.#beatIn(this.#beatMs)
      const answer = () => {
        if (this.#isOver) return
        const frame: ServerFrame = JSON.parse(String(data))
        if (frame.type === 'pong') this.#pings.shift()?.()
        return take(frame)
      }
      last = last.then(answer).catch(() => this.end(1006))
    }
  }

  send(frame: ClientFrame): void {
    if (this.#socket.readyState === OPEN) this.#socket.send(JSON.stringify(frame))
  }

  /**
   * Sends a ping. The server answers frames in order, so `done` is called when it has processed everything sent before.
   */
  ping(done?: () => void): void {
    if (this.#socket.readyState === OPEN) this.#pings.push(done)
    this.send({ type: 'ping' })
  }

  /** Sets the milliseconds without a frame after which it sends a ping. */
  beatEvery(milliseconds: number): void {
    this.#beatMs = milliseconds
    this.#beatIn(milliseconds)
  }

  /** Sends a ping now: after sleep, or when the network changes. */
  probe(): void {
    this.ping()
    this.#expectWithin(PATIENCE)
  }

  /** Ends the connection locally at once. A closing handshake with an unreachable server takes minutes. */
  end(code: number): void {
    if (this.#isOver) return
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#socket.close()
    this.#resolveEnded(code)
  }

  /** Pings before it judges the silence, because browsers delay timers of hidden pages by up to a minute. */
  #beatIn(milliseconds: number): void {
    if (this.#isOver) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.probe(), milliseconds)
  }

  #expectWithin(milliseconds: number): void {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.end(4408), milliseconds)
  }
}
