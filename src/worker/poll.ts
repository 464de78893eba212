import { repeat } from '../base/pulse.ts'
import { columns } from '../db/columns.ts'
import { needsPartitions } from '../notify/delivery-log/partitions.ts'
import { findNextExpiry } from '../notify/inbox/expiry.ts'
import { findLanesWithWork } from '../notify/outbox/read.ts'
import { findDueEndpoints } from '../notify/webhooks/take.ts'
import type { Engine } from './context.ts'
import { isFirstWorker } from './heartbeat.ts'

const DISPATCH_TASK = 'dispatch_outbox'
const RETRY_TASK = 'retry_pending'
const FAN_OUT_TASK = 'run_fan_outs'
const WINDOWS_TASK = 'flush_windows'
const EXPIRY_TASK = 'expire_notifications'
const DELIVERIES_TASK = 'send_deliveries'
const LOG_TASK = 'maintain_delivery_log'

/** The first worker polls so many times as often as another one that is idle. */
const POLLS_OF_THE_FIRST = 10

/**
 * Fallback for lost wake-ups. Every `pollIntervalMs`, one statement looks for due work that this process is not already doing,
 * and a job is added for it. Of several workers, only the first one and those that just found work look so often. When the
 * first one ends, another takes its place at its next poll; when it is killed, after its heartbeat is 10 s old.
 */
export function startPoll(engine: Engine, workerIds: string[]): { close(): Promise<void> } {
  const { config, log, pool, dispatcher, expiry } = engine
  let left = 0
  return repeat(config.pollIntervalMs, log, 'the poll', async () => {
    if (left > 0) {
      left -= 1
      return
    }
    const values = [expiry.from, expiry.isNextLook(), workerIds]
    const { rows } = await pool.query<Found>({ name: 'due_work', text: findDueWork, values })
    const isFirst = rows.some(({ task }) => task === FIRST)
    const lanes = rows.flatMap(({ task, consumer, lane }) => (task === DISPATCH_TASK ? { consumer, lane } : []))
    const next = rows.find(({ task }) => task === EXPIRY_TASK)
    if (next) expiry.note(next.runAt)
    const work = rows.filter(({ task, isDue }) => isDue && task !== DISPATCH_TASK && task !== FIRST)
    left = isFirst || lanes.length + work.length > 0 ? 0 : POLLS_OF_THE_FIRST - 1
    if (dispatcher.idleAmong(lanes).length > 0) await callDispatcher(engine)
    await startWork(engine, work)
  })
}

/** `runAt` null: at once. */
type Work = { task: string; runAt: string | null }
/** A row of the poll. `consumer` and `lane`: a lane with work. */
type Found = Work & { isDue: boolean; consumer: string; lane: number }

/** Marks that this process is the first worker. */
const FIRST = 'first worker'

/**
 * SQL: the tasks with due work. The job of the windows is queued ahead, at the time of the earliest one. $1 and $2: see
 * `findNextExpiry`. $3: ids of this worker.
 */
const findDueWork = `
  select '${DISPATCH_TASK}' as task, null::text as "runAt", true as "isDue", l.consumer, l.lane from (${findLanesWithWork}) l
  union all
  select '${RETRY_TASK}', null, true, null, null where exists (select from notify.pending where dead_at is null and due_at <= now())
  union all
  select '${FAN_OUT_TASK}', null, true, null, null where exists (select from notify.fan_outs where finished_at is null and due_at <= now())
  union all
  select '${WINDOWS_TASK}', due_at::text, true, null, null from (select due_at from notify.windows order by due_at limit 1) w
  where due_at <= now() or not exists (
    select from graphile_worker.jobs j where j.key = '${WINDOWS_TASK}' and j.run_at <= w.due_at and j.locked_at is null and j.attempts < j.max_attempts)
  union all
  select '${DELIVERIES_TASK}', null, true, null, null where exists (select from notify.deliveries where channel in ('email', 'webPush') and due_at <= now())
    or exists (${findDueEndpoints})
  union all
  select '${LOG_TASK}', null, true, null, null where ${needsPartitions}
  union all
  select '${EXPIRY_TASK}', e."from", e."isDue", null, null from (${findNextExpiry}) e
  union all
  select '${FIRST}', null, true, null, null where ${isFirstWorker('$3::text[]')}`

/** Adds jobs for what this process is not already doing. */
async function startWork(engine: Engine, work: Work[]): Promise<void> {
  const { deliveries, jobs, fanOuts } = engine
  if (deliveries.running && work.some(({ task }) => task === DELIVERIES_TASK)) deliveries.look()
  await addJobs(
    engine,
    work
      .filter(({ task }) => !jobs.isFull(task) && (task !== FAN_OUT_TASK || !fanOuts.full))
      .map(({ task, runAt }) => ({ task, runAt: task === EXPIRY_TASK ? null : runAt })),
  )
}

/** Wakes the dispatch job of this process, or adds one. */
export async function callDispatcher(engine: Engine): Promise<void> {
  if (engine.dispatcher.isListening) engine.dispatcher.wake()
  else await addJobs(engine, [{ task: DISPATCH_TASK, runAt: null }])
}

/** Adds jobs. If a job of the task is already queued, changes at most its time. */
async function addJobs({ pool }: Engine, work: Work[]): Promise<void> {
  if (work.length === 0) return
  await pool.query(
    `select graphile_worker.add_job(task, run_at => at, job_key => task, max_attempts => 1,
       job_key_mode => case when at is null then 'preserve_run_at' else 'replace' end)
     from ${added.from}`,
    added.values(work),
  )
}

const added = columns<Work>({
  task: ['text', ({ task }) => task],
  at: ['timestamptz', ({ runAt }) => runAt],
})
