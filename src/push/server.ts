import type { IncomingMessage, Server } from 'node:http'
import type { App } from '../app.ts'
import type { LiveContent } from '../protocol/live-content.ts'
import { limits as defaults, type Limits } from './limits.ts'
import { Node } from './node.ts'
import { isWebsocket } from './upgrade.ts'

export type PushNode = {
  /** Closes every socket with 1001, stores acknowledgements, and ends all work within a few seconds. */
  close(): Promise<void>
  /** Whether LISTEN is active. Without it, the sweep finds changes. */
  listenAlive(): boolean
  /** `buffered`: bytes in the buffers of all sockets. */
  stats(): { sockets: number; users: number; buffered: number }
}

export type PushOptions = { path?: string; limits?: Partial<Limits> }

/** Serves websockets on this server's upgrades: the push role. `content` reads what sockets watch. */
export async function startPush(
  app: App,
  httpServer: Server,
  content: LiveContent,
  options: PushOptions = {},
): Promise<PushNode> {
  const node = new Node(app, content, { ...defaults, ...options.limits }, options.path ?? '/ws')
  const upgrade = node.upgrade.bind(node)
  httpServer.on('upgrade', upgrade)
  // A constructor option of Node's server. Fastify has already created the server, so it is set here.
  Object.assign(httpServer, {
    shouldUpgradeCallback: (request: IncomingMessage) =>
      httpServer.listenerCount('upgrade') > 0 && isWebsocket(request),
  })
  await node.start()
  return {
    listenAlive: () => node.listener.alive(),
    stats: () => ({
      sockets: node.connections.size,
      users: node.hub.userIds().length,
      buffered: [...node.connections].reduce((sum, { socket }) => sum + socket.bufferedAmount, 0),
    }),
    async close() {
      await node.close()
      httpServer.off('upgrade', upgrade)
    },
  }
}
