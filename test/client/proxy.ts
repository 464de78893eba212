import type { Test } from 'tap'
import { TcpProxy } from '../../faults/system/proxy.ts'

/** A network between a client and the server that can fail. */
export type Proxy = {
  url: string
  /** Cuts every connection, without a goodbye in either direction. */
  cut(): void
  /** Drops all later bytes of the open connections, which stay open. */
  swallow(): void
  /** Refuses connections from now on, or takes them again. */
  refuse(refuses: boolean): void
  /** Connects later clients to another server. */
  turnTo(url: string): void
}

export async function startProxy(t: Test, target: string): Promise<Proxy> {
  const proxy = await TcpProxy.to(Number(new URL(target).port))
  t.teardown(() => proxy.close())
  return {
    url: `http://127.0.0.1:${proxy.port}`,
    cut: () => proxy.cut(),
    swallow: () => proxy.swallow(),
    refuse(refuses) {
      proxy.weather = refuses ? 'refuse' : 'pass'
    },
    turnTo(url) {
      proxy.target = Number(new URL(url).port)
    },
  }
}
