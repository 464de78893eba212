import { createPostgresBackend, withBackend } from 'bullmq'
import { makeWorkerUtils, run } from 'graphile-worker'
import type pg from 'pg'
import { PgBoss } from 'pg-boss'
import { jobOptions, type NotificationJob, QUEUE } from '../usual/settings.ts'

const { Queue, Worker } = withBackend(createPostgresBackend)

type Store = (job: NotificationJob) => Promise<unknown>

/** A queue on PostgreSQL with one job per event: how to add jobs, and how a worker handles them. */
export type PostgresQueue = {
  name: string
  add(url: string, batches: NotificationJob[][]): Promise<void>
  work(pool: pg.Pool, url: string, concurrency: number, store: Store): Promise<() => Promise<unknown>>
}

const bullmq: PostgresQueue = {
  name: 'BullMQ on PostgreSQL',
  async add(url, batches) {
    const queue = new Queue(QUEUE, { connection: migrated(url), defaultJobOptions: jobOptions })
    for (const jobs of batches) await queue.addBulk(jobs.map((data) => ({ name: 'notify', data })))
    await queue.close()
  },
  async work(_pool, url, concurrency, store) {
    const options = { connection: migrated(url), concurrency }
    const worker = new Worker<NotificationJob>(QUEUE, ({ data }) => store(data).then(() => undefined), options)
    return () => worker.close()
  },
}

const migrated = (connectionString: string) => ({ connectionString, migrate: true })

/** Handles batches of 100, and fetches the next one at once while batches are full. */
const pgBoss: PostgresQueue = {
  name: 'pg-boss',
  async add(url, batches) {
    const boss = new PgBoss(url)
    await boss.start()
    await boss.createQueue(QUEUE)
    for (const jobs of batches)
      await boss.insert(
        QUEUE,
        jobs.map((data) => ({ data })),
      )
    await boss.stop()
  },
  async work(_pool, url, concurrency, store) {
    const boss = new PgBoss({ connectionString: url, max: 10 })
    boss.on('error', (error) => console.error(error))
    await boss.start()
    await boss.createQueue(QUEUE)
    const options = {
      batchSize: concurrency,
      burstWhenBatchFull: true,
      pollingIntervalSeconds: 0.5,
      localConcurrency: 2,
    }
    await boss.work<NotificationJob>(
      QUEUE,
      options,
      async (jobs) => void (await Promise.all(jobs.map(({ data }) => store(data)))),
    )
    return () => boss.stop()
  },
}

/** Uses a local queue and batched completion, as its documentation advises for throughput. */
const graphileWorker: PostgresQueue = {
  name: 'graphile-worker, one job per event',
  async add(url, batches) {
    const utils = await makeWorkerUtils({ connectionString: url })
    await utils.migrate()
    for (const jobs of batches) await utils.addJobs(jobs.map((payload) => ({ identifier: QUEUE, payload })))
    await utils.release()
  },
  async work(pool, _url, concurrency, store) {
    const runner = await run({
      pgPool: pool,
      concurrency,
      noHandleSignals: true,
      // The code that adds the jobs has checked them.
      taskList: { [QUEUE]: async (payload) => void (await store(payload as NotificationJob)) },
      preset: {
        worker: {
          localQueue: { size: 500 },
          completeJobBatchDelay: 0,
          failJobBatchDelay: 0,
          concurrentJobs: concurrency,
        },
      },
    })
    return () => runner.stop()
  },
}

export const postgresQueues = [bullmq, pgBoss, graphileWorker]
