import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePort } from '../../src/db/embedded/free-port.ts'
import { type Started, startProcess } from './process.ts'

export type RedisServer = {
  name: string
  readonly pid: number
  port: number
  /** Ends it with SIGKILL and restarts it from its file. */
  crash(): Promise<void>
  stop(): Promise<void>
}

/**
 * Debian's redis-server on a free port, with the settings of BullMQ's "Going to production": an append-only file that is synced
 * every second, and no eviction.
 */
export async function startRedis(): Promise<RedisServer> {
  const home = await mkdtemp(join(process.env.BENCH_DIR ?? tmpdir(), 'ravenpost-bench-redis-'))
  const port = await freePort()
  const settings = { port, bind: '127.0.0.1', dir: home, appendonly: 'yes', appendfsync: 'everysec', save: '' }
  const flags = Object.entries({ ...settings, 'maxmemory-policy': 'noeviction' })
  const args = flags.flatMap(([name, value]) => [`--${name}`, String(value)])
  const start = () =>
    startProcess({ name: 'redis', command: 'redis-server', args, ready: /Ready to accept connections/ })
  let server: Started = await start()
  return {
    name: 'redis',
    get pid() {
      return server.pid
    },
    port,
    async crash() {
      await server.kill()
      server = await start()
    },
    async stop() {
      await server.stop()
      await rm(home, { recursive: true, force: true })
    },
  }
}
