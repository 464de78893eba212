import { Gauge } from 'prom-client'
import type { App } from '../app.ts'
import { within } from './deadline.ts'
import { registry } from './metrics.ts'

/** Prometheus gives up after 10 s by default; what this process counted is to be shown even then. */
const DATABASE_TIMEOUT_MS = 5_000

/** The text of a scrape: what this process counted, and what the database says now if it can be asked. */
export async function scrape(app: App): Promise<string> {
  poolConnections.set({ state: 'open' }, app.pool.totalCount)
  poolConnections.set({ state: 'idle' }, app.pool.idleCount)
  poolConnections.set({ state: 'waiting' }, app.pool.waitingCount)
  try {
    show(await within(DATABASE_TIMEOUT_MS, ask(app)))
    databaseUp.set(1)
  } catch (error) {
    app.log.warn({ err: error }, 'metrics without those of the database')
    for (const gauge of fromDatabase) gauge.reset()
    databaseUp.set(0)
  }
  return registry.metrics()
}

type Lane = { consumer: string; lane: number; events: number; age: number }
type Jobs = { task: string; state: string; jobs: number }
type Totals = { appended: number; pending: number; attempts: number; dead: number; windows: number; queue: number }

async function ask({ pool }: App) {
  const [lanes, jobs, totals] = await Promise.all([
    pool.query<Lane>(
      'select consumer, lane, events::float8 as events, coalesce(extract(epoch from age), 0)::float8 as age from ops.lag',
    ),
    pool.query<Jobs>('select task, state, jobs::float8 as jobs from ops.jobs'),
    pool.query<Totals>(
      `select (select last_value::float8 from notify.outbox_id_seq) as appended,
         count(*) filter (where dead_at is null)::float8 as pending, count(*) filter (where dead_at is not null)::float8 as dead,
         coalesce(sum(attempts) filter (where dead_at is null), 0)::float8 as attempts, (select count(*)::float8 from notify.windows where attempts > 0) as windows, pg_notification_queue_usage() as queue
       from notify.pending`,
    ),
  ])
  return { lanes: lanes.rows, jobs: jobs.rows, totals: totals.rows[0] }
}

/** Reset first: a task that has no jobs any more is to disappear. */
function show({ lanes, jobs, totals }: Awaited<ReturnType<typeof ask>>): void {
  for (const gauge of fromDatabase) gauge.reset()
  for (const { consumer, lane, events, age } of lanes) {
    outboxLength.set({ consumer, lane }, events)
    outboxOldest.set({ consumer, lane }, age)
  }
  for (const { task, state, jobs: count } of jobs) jobCount.set({ task, state }, count)
  if (!totals) return
  outboxLastId.set(totals.appended)
  pendingEvents.set(totals.pending)
  pendingAttempts.set(totals.attempts)
  deadLetters.set(totals.dead)
  failingWindows.set(totals.windows)
  notificationQueue.set(totals.queue)
}

function gauge<Label extends string = never>(name: string, help: string, labelNames: Label[] = []): Gauge<Label> {
  return new Gauge({ name: `ravenpost_${name}`, help, labelNames, registers: [registry] })
}

const lane = ['consumer' as const, 'lane' as const]
const outboxLength = gauge(
  'outbox_length',
  'Committed events that a consumer has not read yet; counting ends at 10001',
  lane,
)
const outboxOldest = gauge('outbox_oldest_seconds', 'Age of the oldest event that a consumer has not read yet', lane)
const outboxLastId = gauge(
  'outbox_last_id',
  'Id of the newest event; its rate is the rate of events, rolled-back ones included',
)
const jobCount = gauge('jobs', 'Jobs of graphile-worker', ['task' as const, 'state' as const])
const pendingEvents = gauge('pending_events', 'Events that wait for another attempt')
const pendingAttempts = gauge('pending_attempts', 'Failed attempts at the events that wait for another one')
const deadLetters = gauge('dead_letters', 'Events whose last attempt failed')
const failingWindows = gauge('failing_windows', 'Windows that could not be flushed and are tried again, for ever')
const notificationQueue = gauge(
  'notification_queue_usage',
  'Share of the NOTIFY queue of PostgreSQL in use; when it is full, commits that notify fail',
)
const fromDatabase: Gauge[] = [
  outboxLength,
  outboxOldest,
  outboxLastId,
  jobCount,
  pendingEvents,
  pendingAttempts,
  deadLetters,
  failingWindows,
  notificationQueue,
]
const databaseUp = gauge('database_up', 'Whether the database answered this scrape')
const poolConnections = gauge(
  'pool_connections',
  'Connections of the pool: open, idle, and requests that wait for one',
  ['state' as const],
)
