import { setTimeout as sleep } from 'node:timers/promises'
import { Queue } from 'bullmq'
import { connectRedis, createPool, endWithSignal, jobOptions, type NotificationJob, QUEUE, say } from './settings.ts'

/**
 * Moves rows of the application's outbox into the queue, as textbooks describe. Deletes a row only after its job was added, so a
 * crash may add a job twice but never loses one.
 */
const BATCH = 500
const POLL_MS = 20

const pool = createPool()
const connection = connectRedis()
const queue = new Queue<NotificationJob>(QUEUE, { connection, defaultJobOptions: jobOptions }).on('error', say)
let stopping = false

async function relay(): Promise<number> {
  const client = await pool.connect()
  let failure: Error | undefined
  try {
    await client.query('begin')
    const { rows } = await client.query<{ id: string; job: NotificationJob }>({
      name: 'take',
      text: `delete from outbox where id in (select id from outbox order by id limit ${BATCH} for update skip locked) returning id, job`,
    })
    if (rows.length > 0) await queue.addBulk(rows.map(({ job }) => ({ name: 'notify', data: job })))
    await client.query('commit')
    return rows.length
  } catch (error) {
    failure = error instanceof Error ? error : new Error(String(error))
    throw failure
  } finally {
    client.release(failure)
  }
}

async function run(): Promise<void> {
  while (!stopping) {
    const moved = await relay().catch(say)
    if (moved !== BATCH) await sleep(POLL_MS)
  }
}

const running = run()
endWithSignal(async () => {
  stopping = true
  await running
  await queue.close()
  connection.disconnect()
  await pool.end()
})
console.log('ready -')
