import type { AddressInfo } from 'node:net'
import { connect, createServer, type Socket } from 'node:net'
import type { Test } from 'tap'

/** A network between a client and the server that can fail. */
export type Proxy = {
  url: string
  /** Cuts every connection, without a goodbye in either direction. */
  cut(): void
  /** Swallows what is sent from now on, on the connections there are; they stay open. */
  swallow(): void
  /** Refuses connections from now on, or takes them again. */
  refuse(refuses: boolean): void
}

export async function startProxy(t: Test, target: string): Promise<Proxy> {
  const { hostname, port } = new URL(target)
  const pairs = new Set<[Socket, Socket]>()
  let refuses = false
  const server = createServer((near) => {
    if (refuses) return void near.destroy()
    const far = connect(Number(port), hostname)
    const pair: [Socket, Socket] = [near, far]
    pairs.add(pair)
    near.pipe(far).pipe(near)
    for (const socket of pair) {
      socket.on('error', () => {})
      socket.on('close', () => {
        pairs.delete(pair)
        for (const other of pair) other.destroy()
      })
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const cut = () => {
    for (const pair of pairs) for (const socket of pair) socket.destroy()
  }
  t.teardown(() => {
    cut()
    return new Promise((resolve) => server.close(resolve))
  })
  const { port: ownPort } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${ownPort}`,
    cut,
    swallow() {
      for (const [near, far] of pairs) {
        near.unpipe(far)
        far.unpipe(near)
        near.resume()
        far.resume()
      }
    },
    refuse(value) {
      refuses = value
    },
  }
}
