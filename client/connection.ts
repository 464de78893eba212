import type { ServerFrame } from '../src/protocol/frames.ts'

export type Ok = Extract<ServerFrame, { type: 'ok' }>
type Answer = Ok | Extract<ServerFrame, { type: 'error' }>

/** Milliseconds; until the server's `welcome` names its own. */
const FIRST_BEAT = 5000

/** One websocket, from its hello to its end. */
export class Connection {
  /** Resolves with the close code when it has ended. */
  readonly ended: Promise<number>
  readonly #socket: WebSocket
  readonly #asked = new Map<string, { resolve(ok: Ok): void; reject(error: Error): void }>()
  #lastRef = 0
  #heardAt = Date.now()
  #beat: ReturnType<typeof setTimeout> | undefined
  #resolveEnded: (code: number) => void = () => {}

  /** Frames are taken one after the other; one that cannot be taken ends the connection. */
  constructor(url: string, hello: object, take: (frame: ServerFrame) => Promise<void> | void) {
    const socket = new WebSocket(url, 'ravenpost.v1')
    this.#socket = socket
    this.ended = new Promise((resolve) => {
      this.#resolveEnded = resolve
    })
    this.startHeartbeat(FIRST_BEAT)
    socket.onopen = () => this.send(hello)
    socket.onclose = ({ code }) => this.end(code)
    let last: Promise<void> = Promise.resolve()
    socket.onmessage = ({ data }) => {
      this.#heardAt = Date.now()
      last = last.then(() => (this.#open ? take(JSON.parse(data)) : undefined)).catch(() => this.end(1006))
    }
  }

  /** False when it is not open. */
  send(frame: object): boolean {
    if (this.#open) this.#socket.send(JSON.stringify(frame))
    return this.#open
  }

  /** Sends a frame that is answered by `ok` or `error`. */
  ask(frame: object): Promise<Ok> {
    const ref = String(++this.#lastRef)
    return new Promise((resolve, reject) => {
      if (this.send({ ...frame, ref })) this.#asked.set(ref, { resolve, reject })
      else reject(new Error('not connected'))
    })
  }

  answered(answer: Answer): void {
    const asked = this.#asked.get(answer.ref ?? '')
    this.#asked.delete(answer.ref ?? '')
    if (answer.type === 'ok') asked?.resolve(answer)
    else asked?.reject(new Error(`${answer.code}: ${answer.message}`))
  }

  /** Two beats without a word, and the connection is dead, whatever the network says. */
  startHeartbeat(milliseconds: number): void {
    clearTimeout(this.#beat)
    this.#beat = setTimeout(() => {
      if (Date.now() - this.#heardAt > 2 * milliseconds) return this.end(4408)
      this.send({ type: 'ping' })
      this.startHeartbeat(milliseconds)
    }, milliseconds)
  }

  /** Ends it here at once; a closing handshake with a dead peer would take minutes. */
  end(code: number): void {
    clearTimeout(this.#beat)
    this.#socket.close()
    for (const { reject } of this.#asked.values()) reject(new Error('the connection was lost'))
    this.#asked.clear()
    this.#resolveEnded(code)
  }

  get #open(): boolean {
    return this.#socket.readyState === WebSocket.OPEN
  }
}
