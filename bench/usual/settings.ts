import { Redis } from 'ioredis'
import pg from 'pg'

/** What every process of the usual stack is given. */
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

/** Finished jobs go at once, failed ones are kept for a look: "Auto-removal of jobs" in BullMQ's guide. */
export const jobOptions = { removeOnComplete: true, removeOnFail: 1000 }

export function createPool(): pg.Pool {
  return new pg.Pool({ connectionString: settings.databaseUrl, max: settings.poolSize })
}

/** BullMQ's workers need `maxRetriesPerRequest: null`. */
export function connectRedis(): Redis {
  return new Redis({ port: settings.redisPort, host: '127.0.0.1', maxRetriesPerRequest: null })
}

export function endWithSignal(close: () => Promise<unknown>): void {
  process.once('SIGTERM', () => void close().finally(() => process.exit(0)))
}
