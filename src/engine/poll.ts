import { needsPartitions } from '../delivery-log/partitions.ts'
import type { Engine } from './engine.ts'
import { repeat } from './repeat.ts'

const DISPATCH_TASK = 'dispatch_outbox'
const RETRY_TASK = 'retry_pending'
const FAN_OUT_TASK = 'run_fan_outs'
const WINDOWS_TASK = 'flush_windows'
const DELIVERIES_TASK = 'send_deliveries'
const LOG_TASK = 'maintain_delivery_log'

/**
 * What stands behind the wake-ups: looks every few hundredths of a second whether something is due that nobody in this
 * process is at, and adds a job for it only then. With all wake-ups lost, everything is still found here.
 */
export function startPoll(engine: Engine): { close(): Promise<void> } {
  return repeat(engine.config.pollIntervalMs, engine.log, 'the poll', async () => {
    const lanes = await engine.dispatcher.idleLanesWithWork()
    const { rows } = await engine.pool.query<{ task: string }>({ name: 'due_work', text: findDueWork })
    if (lanes.length > 0) await callDispatcher(engine)
    await addJobs(
      engine,
      rows.map((row) => row.task).filter((task) => task !== FAN_OUT_TASK || !engine.fanOuts.full),
    )
  })
}

const findDueWork = `
  select '${RETRY_TASK}' as task where exists (select from notify.pending where dead_at is null and due_at <= now())
  union all
  select '${FAN_OUT_TASK}' where exists (select from notify.fan_outs where finished_at is null and due_at <= now())
  union all
  select '${WINDOWS_TASK}' where exists (select from notify.windows where due_at <= now())
  union all
  select '${DELIVERIES_TASK}' where exists (select from notify.deliveries where channel in ('email', 'webPush') and due_at <= now())
  union all
  select '${LOG_TASK}' where ${needsPartitions}`

/** Events may have come. A dispatch job that stands ready in this process looks at once, which saves the commits of another. */
export async function callDispatcher(engine: Engine): Promise<void> {
  if (engine.dispatcher.standing) engine.dispatcher.look()
  else await addJobs(engine, [DISPATCH_TASK])
}

/** While a job of a task is queued, another one changes nothing. */
async function addJobs({ pool }: Engine, tasks: string[]): Promise<void> {
  if (tasks.length === 0) return
  await pool.query(
    `select graphile_worker.add_job(t, job_key => t, max_attempts => 1, job_key_mode => 'preserve_run_at') from unnest($1::text[]) t`,
    [tasks],
  )
}
