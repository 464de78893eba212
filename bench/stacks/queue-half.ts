import type { Started } from '../machine/process.ts'
import { startNode } from '../machine/process.ts'
import type { PostgresQueue } from '../queues/queue.ts'
import { JWT_SECRET } from '../world.ts'
import type { Part, Running, Stack } from './stack.ts'
import { countUsual, freshUsual, jobsOf } from './usual.ts'

const script = new URL('../queues/worker.ts', import.meta.url)
const BATCH = 1000

/** The usual stack's tables with another queue: from the event to the stored notification, without push. */
export function queueHalf(queue: PostgresQueue): Stack {
  return {
    name: queue.name,
    protocol: 'socket.io',
    async start(machine, world, wanted): Promise<Running> {
      const { url, pool, drop } = await freshUsual(machine, world)
      const env = { DATABASE_URL: url, JWT_SECRET, REDIS_PORT: String(machine.redis.port), POOL_SIZE: '20' }
      const startPart = (part: Part) => startNode(`queue-${part}`, script, [queue.name], env, /ready (\S+)/)
      const parts = new Map<string, Started>()
      const restart = async (part: Part) => void parts.set(part, await startPart(part))
      for (const part of wanted) await restart(part)
      return {
        databaseUrl: url,
        parts,
        restart,
        urlOf: () => '',
        get roots() {
          return [...parts.values(), { name: 'postgres', pid: machine.postgres.pid }].map(({ name, pid }) => ({
            name,
            pid,
          }))
        },
        hold: async () => async () => {},
        async fill(firstPost, lastPost) {
          const jobs = jobsOf(world, firstPost, lastPost)
          const starts = Array.from({ length: Math.ceil(jobs.length / BATCH) }, (_, index) => index * BATCH)
          await queue.add(
            url,
            starts.map((start) => jobs.slice(start, start + BATCH)),
          )
        },
        counts: () => countUsual(pool),
        async stop() {
          await Promise.all([...parts.values()].map((part) => part.stop()))
          await pool.end()
          await drop()
        },
      }
    },
  }
}
