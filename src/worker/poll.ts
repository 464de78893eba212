import { repeat } from '../base/pulse.ts'
import { columns } from '../db/columns.ts'
import { needsPartitions } from '../notify/delivery-log/partitions.ts'
import { findDueEndpoints } from '../notify/webhooks/take.ts'
import type { Engine } from './context.ts'

const DISPATCH_TASK = 'dispatch_outbox'
const RETRY_TASK = 'retry_pending'
const FAN_OUT_TASK = 'run_fan_outs'
const WINDOWS_TASK = 'flush_windows'
const EXPIRY_TASK = 'expire_notifications'
const DELIVERIES_TASK = 'send_deliveries'
const LOG_TASK = 'maintain_delivery_log'

/**
 * Fallback for lost wake-ups. Every `pollIntervalMs`, looks for due work that this process is not already doing, and adds a job
 * for it.
 */
export function startPoll(engine: Engine): { close(): Promise<void> } {
  return repeat(engine.config.pollIntervalMs, engine.log, 'the poll', async () => {
    const lanes = await engine.dispatcher.idleLanesWithWork()
    const { rows } = await engine.pool.query<Work>({ name: 'due_work', text: findDueWork })
    if (lanes.length > 0) await callDispatcher(engine)
    if (engine.deliveries.running && rows.some(({ task }) => task === DELIVERIES_TASK)) engine.deliveries.look()
    const expiry = (await engine.expiry.isDue(engine.pool)) ? [{ task: EXPIRY_TASK, runAt: null }] : []
    await addJobs(
      engine,
      [...rows, ...expiry].filter(
        ({ task }) => !engine.jobs.isFull(task) && (task !== FAN_OUT_TASK || !engine.fanOuts.full),
      ),
    )
  })
}

/** `runAt` null: at once. */
type Work = { task: string; runAt: string | null }

/** SQL: the tasks with due work. The job of the windows is queued ahead, at the time of the earliest one. */
const findDueWork = `
  select '${RETRY_TASK}' as task, null::text as "runAt" where exists (select from notify.pending where dead_at is null and due_at <= now())
  union all
  select '${FAN_OUT_TASK}', null where exists (select from notify.fan_outs where finished_at is null and due_at <= now())
  union all
  select '${WINDOWS_TASK}', due_at::text from (select due_at from notify.windows order by due_at limit 1) w
  where due_at <= now() or not exists (
    select from graphile_worker.jobs j where j.key = '${WINDOWS_TASK}' and j.run_at <= w.due_at and j.locked_at is null and j.attempts < j.max_attempts)
  union all
  select '${DELIVERIES_TASK}', null where exists (select from notify.deliveries where channel in ('email', 'webPush') and due_at <= now())
    or exists (${findDueEndpoints})
  union all
  select '${LOG_TASK}', null where ${needsPartitions}`

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
