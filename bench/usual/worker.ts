import { Emitter } from '@socket.io/redis-emitter'
import { Worker } from 'bullmq'
import { connectRedis, createPool, endWithSignal, type NotificationJob, QUEUE, settings } from './settings.ts'

const pool = createPool()
const redis = connectRedis()
const emitter = new Emitter(redis)

/** The unique constraint on (user_id, source_id) makes a job that runs twice do nothing. */
const insertStatement = `
  with stored as (
    insert into notifications (user_id, source_id, type, actor_id, object_id, data)
    select $1::bigint, $2::text, $3::text, $4::bigint, $5::bigint, jsonb_build_object('postId', $5::bigint::text)
    where not exists (select from blocks where user_id = $1::bigint and other_id = $4::bigint)
    on conflict (user_id, source_id) do nothing
    returning id, type, actor_id, data, created_at
  )
  select s.id, s.type, s.data, s.created_at as "createdAt", a.username, a.display_name as "displayName"
  from stored s join users a on a.id = s.actor_id`

const worker = new Worker<NotificationJob>(
  QUEUE,
  async ({ data: { recipientId, sourceId, type, actorId, objectId } }) => {
    const values = [recipientId, sourceId, type, actorId, objectId]
    const { rows } = await pool.query({ name: 'insert_notification', text: insertStatement, values })
    if (rows[0]) emitter.to(`user:${recipientId}`).emit('notification', rows[0])
  },
  { connection: connectRedis(), concurrency: settings.concurrency },
)
worker.on('error', (error) => console.error(error))
worker.on('failed', (_job, error) => console.error(error))
await worker.waitUntilReady()

endWithSignal(async () => {
  await worker.close()
  redis.disconnect()
  await pool.end()
})
console.log('ready -')
