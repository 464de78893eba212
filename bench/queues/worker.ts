import { createPool, endWithSignal, settings } from '../usual/settings.ts'
import { storeNotification } from '../usual/store.ts'
import { postgresQueues } from './queue.ts'

/** `node worker.ts <name of a queue>`: stores a notification of the usual stack for each of its jobs. */
const queue = postgresQueues.find(({ name }) => name === process.argv[2])
if (!queue) throw new Error(`there is no queue ${process.argv[2]}`)

const pool = createPool()
pool.on('error', (error) => console.error(error))
const stop = await queue.work(pool, settings.databaseUrl, settings.concurrency, (job) => storeNotification(pool, job))
endWithSignal(async () => {
  await stop()
  await pool.end()
})
console.log('ready -')
