import { EventEmitter } from 'node:events'
import { Logger as GraphileLogger, run, type TaskList, type WorkerEvents } from 'graphile-worker'
import type { Logger } from 'pino'
import type { App } from '../app.ts'
import { within } from '../base/deadline.ts'
import { Pulse } from '../base/pulse.ts'
import { OUTBOX_CHANNEL } from '../base/wake-ups.ts'
import { Listener } from '../db/listener.ts'
import type { SenderOptions } from '../notify/channels/senders.ts'
import { checkInstallation } from '../notify/outbox/adopt.ts'
import { createEngine, type Engine } from './context.ts'
import { startSweep } from './heartbeat.ts'
import { createJobPool } from './job-pool.ts'
import { callDispatcher, startPoll } from './poll.ts'

export type Worker = { close(): Promise<void> }

/** Makes graphile-worker's tasks from what they work with; the list is workers/index.ts. */
export type Tasks = { taskList: (engine: Engine) => TaskList; crontab: string }

/**
 * The worker role: graphile-worker runs the tasks, the poll and the sweep stand behind it. What has to be done stands in
 * tables; jobs are hints, so their own commits need not wait for the disk.
 */
export async function startWorker(app: App, tasks: Tasks, options: SenderOptions = {}): Promise<Worker> {
  const { config, log } = app
  const engine = createEngine(app, options)
  const jobs = createJobPool({
    url: config.databaseUrlDirect,
    size: config.workerConcurrency + 2,
    log,
    name: 'jobs',
    onConnect: checkInstallation,
    settings: '-c synchronous_commit=off',
  })
  const poolIds: string[] = []
  const runner = await run({
    pgPool: jobs.pool,
    taskList: engine.jobs.limit(tasks.taskList(engine)),
    crontab: tasks.crontab,
    concurrency: config.workerConcurrency,
    noHandleSignals: true,
    events: notePools(poolIds),
    logger: graphileLogger(log),
  })
  const callOnce = () =>
    callDispatcher(engine).catch((err) =>
      log.warn({ err }, 'a wake-up of the dispatcher was lost; the poll finds the work'),
    )
  // Anyone who can connect to the database can send any number of hints.
  const calls = new Pulse(callOnce, { eager: true })
  const call = () => calls.request()
  const listener = new Listener(app, [OUTBOX_CHANNEL], { notification: call, connected: call })
  await listener.start()
  const poll = startPoll(engine)
  const sweep = startSweep(engine, poolIds)
  const giveUp = (err: unknown) => log.warn({ err }, 'graphile-worker did not stop in time; shutting down anyway')
  return {
    async close() {
      await listener.close()
      await calls.close()
      await poll.close()
      await engine.dispatcher.close()
      await engine.fanOuts.close()
      jobs.giveUp()
      await within(GOODBYE_MS, engine.deliveries.close()).catch((err) =>
        log.warn({ err }, 'messages in progress were aborted'),
      )
      for (const sender of Object.values(engine.senders)) sender?.close()
      await within(GOODBYE_MS, runner.stop()).catch(giveUp)
      await sweep.close()
      await engine.pool.end()
      await within(GOODBYE_MS, jobs.pool.end()).catch(giveUp)
    },
  }
}

/**
 * The connection on which graphile-worker listens may have died without anybody's knowing: it is told to stop listening, and
 * not waited for. Batches have ended before, and whatever else is cut off here is found by the next worker.
 */
const GOODBYE_MS = 2_000

/** graphile-worker locks jobs under the id of its pool of workers. */
function notePools(poolIds: string[]): WorkerEvents {
  const events: WorkerEvents = new EventEmitter()
  events.on('pool:create', ({ workerPool }) => poolIds.push(workerPool.id))
  return events
}

/** Hints come by the hundred a second: what graphile-worker says about each goes to debug. */
function graphileLogger(log: Logger): GraphileLogger {
  const levels = { error: 'error', warning: 'warn', info: 'debug', debug: 'trace' } as const
  return new GraphileLogger((scope) => (level, message, meta) => log[levels[level]]({ ...scope, ...meta }, message))
}
