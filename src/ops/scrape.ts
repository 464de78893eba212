import type pg from 'pg'
import { Gauge } from 'prom-client'
import type { App } from '../app.ts'
import { within } from '../base/deadline.ts'
import { registry } from '../base/metrics.ts'
import { openPools } from '../db/pool.ts'
import { renderRequests } from './requests.ts'

/**
 * Timeout of the database part. Prometheus stops after 10 s by default, and must get the metrics of the process even if the
 * database is slow.
 */
const DATABASE_TIMEOUT_MS = 4_000
/** Maximum number of counted rows: larger numbers mean the same to an operator and cost more. */
const MOST_COUNTED = 100_000

/** Returns a function that renders the metrics of this process, and those of the database if it answers. */
export function createScrape({ log }: Pick<App, 'log'>, pool: pg.Pool): () => Promise<string> {
  return async () => {
    showPools()
    try {
      show(await within(DATABASE_TIMEOUT_MS, ask(pool)))
      databaseUp.set(1)
    } catch (error) {
      log.warn({ err: error }, 'cannot read metrics from the database; serving the others')
      for (const gauge of fromDatabase) gauge.reset()
      databaseUp.set(0)
    }
    return (await registry.metrics()) + renderRequests()
  }
}

function showPools(): void {
  poolConnections.reset()
  for (const [{ ended, totalCount, idleCount, waitingCount }, pool] of openPools) {
    if (ended) continue
    poolConnections.inc({ pool, state: 'open' }, totalCount)
    poolConnections.inc({ pool, state: 'idle' }, idleCount)
    poolConnections.inc({ pool, state: 'waiting' }, waitingCount)
  }
}

type Lane = { consumer: string; lane: number; events: number; age: number; failing: number; paused: number }
type Jobs = { task: string; state: string; jobs: number }
type Totals = {
  appended: number
  pending: number
  attempts: number
  dead: number
  windows: number
  queue: number
  hooks: number
  lost: number
  overdueWindows: number
  overdueFanOuts: number
  overdueEmails: number
  overduePushes: number
}

/** Runs the statements in sequence, on one connection. */
async function ask(pool: pg.Pool) {
  const client = await pool.connect()
  let broken = true
  try {
    const lanes = await client.query<Lane>(
      'select consumer, lane, events::float8 as events, coalesce(extract(epoch from age), 0)::float8 as age, coalesce(extract(epoch from now() - failing_since), 0)::float8 as failing, (paused_at is not null)::int as paused from ops.lag',
    )
    const jobs = await client.query<Jobs>(countJobs)
    const totals = await client.query<Totals>(countTotals)
    broken = false
    return { lanes: lanes.rows, jobs: jobs.rows, totals: totals.rows[0] }
  } finally {
    client.release(broken)
  }
}

/** SQL that counts jobs by the states of `ops.jobs`. */
const countJobs = `
  select task_identifier as task,
         case when locked_at is not null then 'running' when attempts >= max_attempts then 'failed'
              when run_at <= now() then 'ready' when attempts > 0 then 'retrying' else 'scheduled' end as state,
         count(*)::float8 as jobs
  from (select task_identifier, locked_at, attempts, max_attempts, run_at from graphile_worker.jobs limit ${MOST_COUNTED}) j
  group by 1, 2`

/** SQL that counts the rows that have been due for a minute. */
function overdue(table: string, which: string): string {
  return `(select count(*)::float8 from (select from ${table} where ${which} and due_at < now() - interval '1 minute' limit ${MOST_COUNTED}) o)`
}

const countTotals = `
  select (select last_value::float8 from notify.outbox_id_seq) as appended, pending.n as pending, pending.attempts,
         (select count(*)::float8 from (select from notify.pending where dead_at is not null limit ${MOST_COUNTED}) d) as dead,
         (select count(*)::float8 from (select from notify.windows where attempts > 0 limit ${MOST_COUNTED}) w) as windows,
         (select coalesce(sum(waiting), 0)::float8 from ops.webhooks) as hooks,
         (select count(*)::float8 from notify.webhooks where disabled_because in ('gone', 'failing')) as lost,
         ${overdue('notify.windows', 'true')} as "overdueWindows",
         ${overdue('notify.fan_outs', 'finished_at is null')} as "overdueFanOuts",
         ${overdue('notify.deliveries', "channel = 'email'")} as "overdueEmails",
         ${overdue('notify.deliveries', "channel = 'webPush'")} as "overduePushes",
         pg_notification_queue_usage() as queue
  from (
    select count(*)::float8 as n, coalesce(sum(attempts), 0)::float8 as attempts
    from (select attempts from notify.pending where dead_at is null limit ${MOST_COUNTED}) p
  ) pending`

/** Sets the gauges. Resets them first, so that a task without jobs disappears. */
function show({ lanes, jobs, totals }: Awaited<ReturnType<typeof ask>>): void {
  for (const gauge of fromDatabase) gauge.reset()
  for (const { consumer, lane, events, age, failing, paused } of lanes) {
    outboxLength.set({ consumer, lane }, events)
    outboxOldest.set({ consumer, lane }, age)
    laneFailing.set({ consumer, lane }, failing)
    lanePaused.set({ consumer, lane }, paused)
  }
  for (const { task, state, jobs: count } of jobs) jobCount.set({ task, state }, count)
  if (!totals) return
  outboxLastId.set(totals.appended)
  pendingEvents.set(totals.pending)
  pendingAttempts.set(totals.attempts)
  deadLetters.set(totals.dead)
  failingWindows.set(totals.windows)
  notificationQueue.set(totals.queue)
  webhooksWaiting.set(totals.hooks)
  webhooksDisabled.set(totals.lost)
  overdueWork.set({ kind: 'windows' }, totals.overdueWindows)
  overdueWork.set({ kind: 'fan_outs' }, totals.overdueFanOuts)
  overdueWork.set({ kind: 'emails' }, totals.overdueEmails)
  overdueWork.set({ kind: 'web_pushes' }, totals.overduePushes)
}

/** A gauge read from the database: every process reports the same value. */
function shared<Label extends string = never>(name: string, help: string, labelNames: Label[] = []): Gauge<Label> {
  return gauge(name, `${help}; the same on every process: take the max, not the sum`, labelNames)
}

function gauge<Label extends string = never>(name: string, help: string, labelNames: Label[] = []): Gauge<Label> {
  return new Gauge({ name: `ravenpost_${name}`, help, labelNames, registers: [registry] })
}

const lane = ['consumer' as const, 'lane' as const]
const outboxLength = shared(
  'outbox_length',
  'Committed events that a consumer has not read yet; counting ends at 10001',
  lane,
)
const outboxOldest = shared('outbox_oldest_seconds', 'Age of the oldest event that a consumer has not read yet', lane)
const laneFailing = gauge('lane_failing_seconds', 'Since when the runs of a lane fail, 0 while it moves on', lane)
const lanePaused = shared('lane_paused', 'Whether a lane is paused by notify.pause_lanes', lane)
const outboxLastId = shared(
  'outbox_last_id',
  'Id of the newest event; its rate is the rate of events, rolled-back ones included',
)
const jobCount = shared('jobs', `Jobs of graphile-worker, ${MOST_COUNTED} at most`, ['task' as const, 'state' as const])
const pendingEvents = shared('pending_events', `Events that wait for another attempt, ${MOST_COUNTED} at most`)
const pendingAttempts = shared('pending_attempts', 'Failed attempts at the events that wait for another one')
const deadLetters = shared('dead_letters', `Events whose last attempt failed, ${MOST_COUNTED} at most`)
const failingWindows = shared('failing_windows', 'Windows that could not be flushed and are tried again, for ever')
const notificationQueue = shared(
  'notification_queue_usage',
  'Share of the NOTIFY queue of PostgreSQL in use; when it is full, commits that notify fail',
)
const webhooksWaiting = shared('webhook_deliveries_waiting', 'Messages that wait for webhooks, 10001 at most of each')
const webhooksDisabled = shared('webhooks_disabled', 'Webhooks that were disabled because they accepted nothing')
const overdueWork = shared(
  'overdue_work',
  `Windows, chunks of fan-outs, mails and pushes that have been due for more than a minute, ${MOST_COUNTED} of each at most`,
  ['kind' as const],
)
const fromDatabase: Gauge[] = [
  outboxLength,
  outboxOldest,
  laneFailing,
  lanePaused,
  outboxLastId,
  jobCount,
  pendingEvents,
  pendingAttempts,
  deadLetters,
  failingWindows,
  notificationQueue,
  webhooksWaiting,
  webhooksDisabled,
  overdueWork,
]
const databaseUp = gauge('database_up', 'Whether the database answered this scrape')
const poolConnections = gauge('pool_connections', 'Connections of a pool: open, idle, and those who wait for one', [
  'pool' as const,
  'state' as const,
])
