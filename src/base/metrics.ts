import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

/**
 * The registry of `GET /metrics`, one per process. Other parts count here; scrape.ts reads the values of the database.
 */
export const registry = new Registry()
const registers = [registry]
/** Memory, heap, event loop and processor time of the process, under Prometheus' usual names. */
collectDefaultMetrics({ register: registry })
/** Gauges with names of counters. The ones without `_total` show the same by type. */
for (const name of ['handles', 'requests', 'resources']) registry.removeSingleMetric(`nodejs_active_${name}_total`)

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
export const emitted = new Counter({
  name: 'ravenpost_emitted_total',
  help: 'Notifications sent to sockets; one that goes to two sockets counts twice',
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
export const unreadable = new Counter({
  name: 'ravenpost_unreadable_notifications_total',
  help: 'Times that a notification could not be shown in full; ops.unreadable_notifications and the log say which',
  registers,
})
export const webhookAttempts = new Counter({
  name: 'ravenpost_webhook_attempts_total',
  help: 'Messages sent to webhooks: sent (answered 2xx) or failed',
  labelNames: ['outcome'] as const,
  registers,
})
export const messagesTried = new Counter({
  name: 'ravenpost_messages_total',
  help: 'Attempts to send mails and pushes, by outcome: sent, retry, failed, bounced or skipped',
  labelNames: ['channel', 'outcome'] as const,
  registers,
})
export const rejectedSignIns = new Counter({
  name: 'ravenpost_rejected_sign_ins_total',
  help: 'Sign-ins with a wrong login or password',
  registers,
})
export const passwordHashes = new Counter({
  name: 'ravenpost_password_hashes_total',
  help: 'Argon2 hashes computed: one per sign-up and per attempt to sign in, whether there is such a user or not',
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

/** Time at which LISTEN of the push node started to work. */
export const listeningSince = new Gauge({
  name: 'ravenpost_listening_since_seconds',
  help: 'When the LISTEN connection of this process was last made, in seconds since 1970',
  registers,
})
export const listening = new Gauge({
  name: 'ravenpost_listening',
  help: 'Whether the LISTEN connection stands; 1 too where the push role does not run',
  registers,
})
