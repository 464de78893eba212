import type { ClientFrame, ServerFrame } from './protocol.ts'

/** What a client needs of a websocket; that of browsers, of Node and of `ws` fit. */
export type WebSocketLike = {
  readonly readyState: number
  send(data: string): void
  close(): void
  onopen: ((event: never) => void) | null
  onclose: ((event: never) => void) | null
  onerror: ((event: never) => void) | null
  onmessage: ((event: never) => void) | null
}

/** Milliseconds, until the server's `welcome` names its own. */
const FIRST_BEAT = 5000
/** How long the answer to a ping may take before the connection is given up. */
const PATIENCE = 5000
const OPEN = 1

/** One websocket, from its hello to its end. */
export class Socket {
  /** Resolves with the close code when it has ended. */
  readonly ended: Promise<number>
  readonly #socket: WebSocketLike
  readonly #resolveEnded: (code: number) => void
  #beatMs = FIRST_BEAT
  #timer: ReturnType<typeof setTimeout> | undefined
  #isOver = false

  /** Frames are taken one after the other; one that cannot be taken ends the connection. */
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
      const frame = () => (this.#isOver ? undefined : take(JSON.parse(String(data))))
      last = last.then(frame).catch(() => this.end(1006))
    }
  }

  send(frame: ClientFrame): void {
    if (this.#socket.readyState === OPEN) this.#socket.send(JSON.stringify(frame))
  }

  /** Milliseconds of silence after which it asks whether the other side is there. */
  beatEvery(milliseconds: number): void {
    this.#beatMs = milliseconds
    this.#beatIn(milliseconds)
  }

  /** Asks now: after sleep, or when the network has changed. */
  probe(): void {
    this.send({ type: 'ping' })
    this.#expectWithin(PATIENCE)
  }

  /** Ends it here at once; a closing handshake with a dead peer would take minutes. */
  end(code: number): void {
    if (this.#isOver) return
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#socket.close()
    this.#resolveEnded(code)
  }

  /** A ping is sent before the silence is judged: timers of hidden pages are late by a minute. */
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
