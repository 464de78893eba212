import { createConnection, createServer, type Server, type Socket } from 'node:net'

/**
 * How bytes pass: `pass`: at once. `delay`: each chunk 40 ms later. `trickle`: in pieces of 64 bytes. `stall`: not at all, while
 * connections stay open, as in a network that drops packets. `refuse`: no new connections.
 */
export type Weather = 'pass' | 'delay' | 'trickle' | 'stall' | 'refuse'

const DELAY_MS = 40
const BAD_GATEWAY = 'HTTP/1.1 502 Bad Gateway\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'
const TRICKLE_BYTES = 64
const TRICKLE_MS = 2

/** A TCP proxy on 127.0.0.1 that imitates network faults. */
export class TcpProxy {
  weather: Weather = 'pass'
  /** Target port of new connections. */
  target: number
  readonly #server: Server
  readonly #pairs = new Set<[Socket, Socket]>()
  readonly #swallowed = new WeakSet<[Socket, Socket]>()

  private constructor(server: Server, target: number) {
    this.#server = server
    this.target = target
  }

  /** `isGateway`: answers HTTP clients with 502 when nothing listens on the target, as a load balancer does. Such a call has no effect. */
  static async to(target: number, { isGateway = false } = {}): Promise<TcpProxy> {
    const server = createServer({ allowHalfOpen: true, noDelay: true })
    const proxy = new TcpProxy(server, target)
    server.on('connection', (client) => proxy.#connect(client, proxy.target, isGateway))
    await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve))
    return proxy
  }

  get port(): number {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('the proxy is closed')
    return address.port
  }

  get connections(): number {
    return this.#pairs.size
  }

  /** Resets the connections for which `chosen` returns true; by default all. */
  cut(chosen: () => boolean = () => true): void {
    for (const pair of this.#pairs) if (chosen()) for (const socket of pair) socket.resetAndDestroy()
  }

  /** Ends only the direction to the server, so that the client does not notice. */
  halfClose(chosen: () => boolean = () => true): void {
    for (const [, server] of this.#pairs) if (chosen()) server.end()
  }

  /** Open connections stop carrying bytes in both directions, and neither side notices. */
  swallow(): void {
    for (const pair of this.#pairs) this.#swallowed.add(pair)
  }

  close(): Promise<void> {
    this.cut()
    return new Promise((resolve) => this.#server.close(() => resolve()))
  }

  #connect(client: Socket, target: number, isGateway: boolean): void {
    if (this.weather === 'refuse') return void client.resetAndDestroy()
    const server = createConnection({ port: target, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    const pair: [Socket, Socket] = [client, server]
    this.#pairs.add(pair)
    server.on('error', (error) => {
      if (isGateway && 'code' in error && error.code === 'ECONNREFUSED') client.end(BAD_GATEWAY)
    })
    this.#forward(pair, client, server)
    this.#forward(pair, server, client)
    const over = () => {
      // The remaining side of a silenced pair does not notice that the other one has ended.
      if (this.#swallowed.has(pair) && !(client.destroyed && server.destroyed)) return
      this.#pairs.delete(pair)
      client.destroySoon()
      server.destroy()
    }
    for (const socket of pair) socket.on('error', over).on('close', over)
  }

  #forward(pair: [Socket, Socket], from: Socket, to: Socket): void {
    let last: Promise<void> = Promise.resolve()
    let ended = false
    from.on('data', (chunk) => {
      if (this.#swallowed.has(pair)) return
      from.pause()
      last = this.#carry(chunk, to).then(() => {
        from.resume()
      })
    })
    from.on('end', () => {
      if (ended || this.#swallowed.has(pair)) return
      ended = true
      void last.then(() => to.end())
    })
  }

  async #carry(chunk: Buffer, to: Socket): Promise<void> {
    if (this.weather === 'delay') await wait(DELAY_MS)
    while (this.weather === 'stall' && !to.destroyed) await wait(DELAY_MS)
    let rest = chunk
    while (this.weather === 'trickle' && rest.length > TRICKLE_BYTES && to.writable) {
      to.write(rest.subarray(0, TRICKLE_BYTES))
      rest = rest.subarray(TRICKLE_BYTES)
      await wait(TRICKLE_MS)
    }
    if (to.writable && !to.write(rest)) await new Promise<void>((resolve) => onDrained(to, resolve))
  }
}

function onDrained(socket: Socket, resolve: () => void): void {
  const done = () => {
    socket.off('drain', done).off('close', done)
    resolve()
  }
  socket.on('drain', done).on('close', done)
}

const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))
