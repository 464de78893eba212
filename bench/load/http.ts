import { connect, type Socket } from 'node:net'

/** Receives the status and body of an answer. */
export type OnAnswer = (status: number, body: string) => void

/**
 * One keep-alive HTTP/1.1 connection with one request at a time. Uses a plain socket, because the generator shares the machine
 * with the measured server: a full client takes as much CPU time per request as the fastest server.
 */
export class HttpConnection {
  readonly #socket: Socket
  #received = ''
  #onAnswer: OnAnswer | undefined

  constructor(url: string) {
    const { hostname, port } = new URL(url)
    this.#socket = connect({ host: hostname, port: Number(port), noDelay: true })
    this.#socket.setEncoding('latin1')
    this.#socket.on('data', (chunk) => this.#receive(String(chunk)))
    this.#socket.on('error', () => {})
    this.#socket.on('close', () => this.#answer(0, ''))
  }

  get open(): boolean {
    return !this.#socket.destroyed
  }

  /** `onAnswer` gets status 0 if the connection broke before the answer. */
  send(request: string, onAnswer: OnAnswer): void {
    this.#onAnswer = onAnswer
    if (this.open) this.#socket.write(request, 'latin1')
    else this.#answer(0, '')
  }

  close(): void {
    this.#socket.destroy()
  }

  #receive(chunk: string): void {
    this.#received += chunk
    const headEnd = this.#received.indexOf('\r\n\r\n')
    if (headEnd < 0) return
    const head = this.#received.slice(0, headEnd)
    const length = Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1] ?? 0)
    const bodyEnd = headEnd + 4 + length
    if (this.#received.length < bodyEnd) return
    const body = this.#received.slice(headEnd + 4, bodyEnd)
    this.#received = this.#received.slice(bodyEnd)
    this.#answer(Number(head.slice(9, 12)), body)
  }

  #answer(status: number, body: string): void {
    const onAnswer = this.#onAnswer
    this.#onAnswer = undefined
    onAnswer?.(status, body)
  }
}

export function requestText(method: string, path: string, token: string): string {
  return `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\nContent-Length: 0\r\n\r\n`
}
