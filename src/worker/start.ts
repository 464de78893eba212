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
import { createJobPool, jobPoolSize } from './job-pool.ts'
import { callDispatcher, startPoll } from './poll.ts'

export type Worker = { close(): Promise<void> }

/** Creates the tasks of graphile-worker. workers/index.ts contains the list. */
export type Tasks = { taskList: (engine: Engine) => TaskList; crontab: string }

/**
 * Starts the worker role. graphile-worker runs the tasks; the poll and the sweep are the fallback for lost hints. All work is
 * in tables and jobs are only hints, so their commits do not wait for the disk.
 */
export async function startWorker(app: App, tasks: Tasks, options: SenderOptions = {}): Promise<Worker> {
  const { config, log } = app
  const engine = createEngine(app, options)
  const jobs = createJobPool({
    url: config.databaseUrlDirect,
    size: jobPoolSize(config),
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
    pollInterval: JOB_POLL_MS,
    noHandleSignals: true,
    events: notePools(poolIds),
    logger: graphileLogger(log),
  })
  const callOnce = () =>
    callDispatcher(engine).catch((err) =>
      log.warn({ err }, 'a wake-up of the dispatcher was lost; the poll finds the work'),
    )
  // Anyone who can connect to the database can send hints, so calls are limited.
  const calls = new Pulse(callOnce, { eager: true })
  const call = () => calls.request()
  const listener = new Listener(app, [OUTBOX_CHANNEL], {
    notification: (_channel, payload) => app.wakeUps.isOwn(payload) || call(),
    connected: call,
  })
  app.wakeUps.onEvents(call)
  await listener.start()
  const poll = startPoll(engine, poolIds)
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
 * How often each of graphile-worker's workers looks for jobs without a NOTIFY. Every new job sends one, and the poll adds a due
 * job again.
 */
const JOB_POLL_MS = 5_000

/**
 * Maximum wait for graphile-worker at shutdown, because its LISTEN connection may be dead. All batches have ended by then, and
 * the next worker finds any other interrupted work.
 */
const GOODBYE_MS = 2_000

/** Collects the ids of graphile-worker's pools. They are the lock owner of its jobs. */
function notePools(poolIds: string[]): WorkerEvents {
  const events: WorkerEvents = new EventEmitter()
  events.on('pool:create', ({ workerPool }) => poolIds.push(workerPool.id))
  return events
}

/** Logs messages of graphile-worker about single jobs at debug, because there are hundreds a second. */
function graphileLogger(log: Logger): GraphileLogger {
  const levels = { error: 'error', warning: 'warn', info: 'debug', debug: 'trace' } as const
  return new GraphileLogger((scope) => (level, message, meta) => log[levels[level]]({ ...scope, ...meta }, message))
}
