import type pg from 'pg'
import type { Logger } from 'pino'
import type { App } from '../app.ts'
import type { Config } from '../config.ts'
import { createPool } from '../db/pool.ts'
import { DeliveryRunner } from '../notify/channels/runner.ts'
import { ChannelSending, channelNames, type Senders } from '../notify/channels/send.ts'
import { createSenders, type SenderOptions, webhookOptions } from '../notify/channels/senders.ts'
import { countWith } from '../notify/counters.ts'
import { dispatchWith } from '../notify/dispatch/dispatch.ts'
import { inboxFanOuts } from '../notify/fan-outs/kinds.ts'
import { FanOutRunner } from '../notify/fan-outs/run.ts'
import { Expiry } from '../notify/inbox/expiry.ts'
import { checkInstallation } from '../notify/outbox/adopt.ts'
import type { Consumer } from '../notify/outbox/consume.ts'
import { Dispatcher } from '../notify/outbox/dispatcher.ts'
import { NotificationTypes } from '../notify/types/types.ts'
import { WebhookSending } from '../notify/webhooks/sending.ts'
import { actions } from '../social/actions.ts'
import { socialFanOuts } from '../social/fan-outs.ts'
import { JobShares } from './job-shares.ts'

/** Services for the tasks in workers/. */
export type Engine = {
  config: Config
  log: Logger
  /** A pool for the worker role only, so that requests in the same process do not delay dispatching. */
  pool: pg.Pool
  types: NotificationTypes
  consumers: Record<string, Consumer>
  dispatcher: Dispatcher
  fanOuts: FanOutRunner
  expiry: Expiry
  jobs: JobShares
  deliveries: DeliveryRunner
  senders: Senders
}

/** All kinds of fan-outs. */
export const allFanOuts = { ...inboxFanOuts, ...socialFanOuts }

/** Size of the pool: one connection per lane, and some for the poll, the sweep and slower tasks. */
export const POOL_SIZE = 12

export function createEngine({ config, log }: App, options: SenderOptions = {}): Engine {
  // Partition maintenance uses session locks, which a transaction pooler would lose.
  const pool = createPool({
    url: config.databaseUrlDirect,
    size: POOL_SIZE,
    log,
    name: 'worker',
    onConnect: checkInstallation,
  })
  const types = new NotificationTypes(pool, log)
  const consumers = { notifications: dispatchWith(types, actions), counters: countWith(actions) }
  const dispatcher = new Dispatcher(pool, log, consumers)
  const senders = createSenders(config, pool, { log, ...options })
  const reader = { pool, log, types }
  const deliveries = new DeliveryRunner([
    ...channelNames.map((channel) => new ChannelSending({ ...reader, senders }, channel)),
    new WebhookSending(reader, webhookOptions(config, options)),
  ])
  const jobs = new JobShares(config.workerConcurrency)
  const [fanOuts, expiry] = [new FanOutRunner(allFanOuts), new Expiry()]
  return { config, log, pool, types, consumers, dispatcher, fanOuts, expiry, jobs, deliveries, senders }
}
