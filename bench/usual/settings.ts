import { Redis } from 'ioredis'
import pg from 'pg'

/** Settings for every process of the usual stack. */
export const settings = {
  databaseUrl: process.env.DATABASE_URL ?? '',
  redisPort: Number(process.env.REDIS_PORT),
  jwtSecret: process.env.JWT_SECRET ?? '',
  poolSize: Number(process.env.POOL_SIZE ?? 20),
  concurrency: Number(process.env.CONCURRENCY ?? 100),
  ownOutbox: process.env.OWN_OUTBOX === 'yes',
}

export const QUEUE = 'notifications'

/** The job of one notification. */
export type NotificationJob = { type: string; sourceId: string; recipientId: string; actorId: string; objectId: string }

/** Removes finished jobs at once and retries failing ones, as "Auto-removal of jobs" and "Retrying failing jobs" in BullMQ's guide describe. */
export const jobOptions = {
  removeOnComplete: true,
  removeOnFail: 1000,
  attempts: 5,
  backoff: { type: 'exponential', delay: 200 },
}

export function createPool(): pg.Pool {
  const pool = new pg.Pool({ connectionString: settings.databaseUrl, max: settings.poolSize })
  // Without listeners, an idle connection that breaks would end the process.
  pool.on('error', say)
  pool.on('connect', (client) => client.on('error', say))
  return pool
}

/** BullMQ's workers need `maxRetriesPerRequest: null`. */
export function connectRedis(): Redis {
  const redis = new Redis({ port: settings.redisPort, host: '127.0.0.1', maxRetriesPerRequest: null })
  return redis.on('error', say)
}

const said = new Set<string>()

/** The clients of Redis and PostgreSQL reconnect by themselves. Prints each message once. */
export function say({ message }: Error): void {
  if (!said.has(message)) console.error(message)
  said.add(message)
}

export function endWithSignal(close: () => Promise<unknown>): void {
  process.once('SIGTERM', () => void close().finally(() => process.exit(0)))
}
