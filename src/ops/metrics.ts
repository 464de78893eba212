import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { App } from '../app.ts'

/** Everything `GET /metrics` shows, one registry per process. Other parts count; what stands in the database is asked at the scrape. */
export const registry = new Registry()
const registers = [registry]

export const outboxEvents = new Counter({
  name: 'ravenpost_outbox_events_total',
  help: 'Events this process appended to the outbox',
  labelNames: ['action'] as const,
  registers,
})
export const dispatchBatchSize = new Histogram({
  name: 'ravenpost_dispatch_batch_size',
  help: 'Events in a batch that a consumer committed',
  labelNames: ['consumer'] as const,
  buckets: [1, 10, 50, 100, 250, 500, 1000, 2000],
  registers,
})
export const dispatchBatchSeconds = new Histogram({
  name: 'ravenpost_dispatch_batch_seconds',
  help: 'Duration of a batch, from begin to commit',
  labelNames: ['consumer'] as const,
  buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5],
  registers,
})
export const retries = new Counter({
  name: 'ravenpost_retries_total',
  help: 'Attempts at events that had been set aside',
  labelNames: ['consumer'] as const,
  registers,
})
export const deadLetters = new Counter({
  name: 'ravenpost_dead_letters_total',
  help: 'Events whose last attempt failed in this process',
  labelNames: ['consumer'] as const,
  registers,
})
export const emitFailures = new Counter({
  name: 'ravenpost_emit_failures_total',
  help: 'Frames that could not be sent to their socket',
  registers,
})
export const acknowledged = new Counter({
  name: 'ravenpost_acknowledged_total',
  help: 'Notifications that became delivered by an acknowledgement',
  registers,
})
export const read = new Counter({
  name: 'ravenpost_read_total',
  help: 'Notifications that became read',
  registers,
})
export const rejectedSignIns = new Counter({
  name: 'ravenpost_rejected_sign_ins_total',
  help: 'Sign-ins with a wrong login or password',
  registers,
})
export const rejectedHellos = new Counter({
  name: 'ravenpost_rejected_hellos_total',
  help: 'Sockets closed because their hello was missing, malformed or not allowed',
  labelNames: ['code'] as const,
  registers,
})
export const sockets = new Gauge({
  name: 'ravenpost_sockets',
  help: 'Sockets that are open on this push node',
  registers,
})
export const framesSent = new Counter({
  name: 'ravenpost_frames_sent_total',
  help: 'Frames sent to clients',
  labelNames: ['type'] as const,
  registers,
})

const outboxLength = new Gauge({
  name: 'ravenpost_outbox_length',
  help: 'Committed events that a consumer has not read yet',
  labelNames: ['consumer', 'lane'] as const,
  registers,
})
const outboxOldest = new Gauge({
  name: 'ravenpost_outbox_oldest_seconds',
  help: 'Age of the oldest event that a consumer has not read yet',
  labelNames: ['consumer', 'lane'] as const,
  registers,
})
const jobs = new Gauge({
  name: 'ravenpost_jobs',
  help: 'Jobs of graphile-worker',
  labelNames: ['task', 'state'] as const,
  registers,
})
const pendingEvents = new Gauge({
  name: 'ravenpost_pending_events',
  help: 'Events that wait for another attempt',
  registers,
})
const deadLettersNow = new Gauge({
  name: 'ravenpost_dead_letters',
  help: 'Dead letters that wait to be looked at',
  registers,
})
const notificationQueue = new Gauge({
  name: 'ravenpost_notification_queue_usage',
  help: 'Share of the NOTIFY queue of PostgreSQL in use; when it is full, commits that notify fail',
  registers,
})
const poolConnections = new Gauge({
  name: 'ravenpost_pool_connections',
  help: 'Connections of this process: open, idle, and requests that wait for one',
  labelNames: ['state'] as const,
  registers,
})

/** The text of a scrape: what this process counted, and what the database says now. */
export async function scrape({ pool }: App): Promise<string> {
  const [lanes, tasks, totals] = await Promise.all([
    pool.query<{ consumer: string; lane: number; events: string; age: number }>(
      `select consumer, lane, events, coalesce(extract(epoch from age), 0)::float8 as age from ops.lag`,
    ),
    pool.query<{ task: string; state: string; jobs: string }>('select task, state, jobs from ops.jobs'),
    pool.query<{ dead: string; pending: string; queue: number }>(
      `select (select count(*) from ops.dead_letters) as dead, (select count(*) from ops.pending) as pending,
         pg_notification_queue_usage() as queue`,
    ),
  ])
  for (const gauge of [outboxLength, outboxOldest, jobs]) gauge.reset()
  for (const { consumer, lane, events, age } of lanes.rows) {
    outboxLength.set({ consumer, lane }, Number(events))
    outboxOldest.set({ consumer, lane }, age)
  }
  for (const { task, state, jobs: count } of tasks.rows) jobs.set({ task, state }, Number(count))
  pendingEvents.set(Number(totals.rows[0]?.pending ?? 0))
  deadLettersNow.set(Number(totals.rows[0]?.dead ?? 0))
  notificationQueue.set(totals.rows[0]?.queue ?? 0)
  poolConnections.set({ state: 'open' }, pool.totalCount)
  poolConnections.set({ state: 'idle' }, pool.idleCount)
  poolConnections.set({ state: 'waiting' }, pool.waitingCount)
  return registry.metrics()
}
