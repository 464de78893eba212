import { Emitter } from '@socket.io/redis-emitter'
import { Worker } from 'bullmq'
import { connectRedis, createPool, endWithSignal, type NotificationJob, QUEUE, say, settings } from './settings.ts'
import { storeNotification } from './store.ts'

const pool = createPool()
const redis = connectRedis()
const emitter = new Emitter(redis)

const worker = new Worker<NotificationJob>(
  QUEUE,
  async ({ data }) => {
    const stored = await storeNotification(pool, data)
    if (stored) emitter.to(`user:${data.recipientId}`).emit('notification', stored)
  },
  { connection: connectRedis(), concurrency: settings.concurrency },
)
worker.on('error', say)
worker.on('failed', (_job, error) => say(error))
await worker.waitUntilReady()

endWithSignal(async () => {
  await worker.close()
  redis.disconnect()
  await pool.end()
})
console.log('ready -')
