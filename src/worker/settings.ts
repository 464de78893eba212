import type { App } from '../app.ts'
import type { Role } from '../base/process/role.ts'
import { type Config, scaledLimit } from '../config.ts'
import { columns } from '../db/columns.ts'
import { LONG_READS } from '../db/long-reads.ts'
import { policies } from '../http/rate-limits.ts'
import { CONNECTIONS } from '../http/shown-sql/reader.ts'
import { USER_PER_MINUTE } from '../notify/channels/fair-queue.ts'
import { MAX_ATTEMPTS } from '../notify/channels/send.ts'
import { MAX_SUBSCRIPTIONS } from '../notify/channels/web-push/subscriptions.ts'
import { ADDRESS_MAILS_AN_HOUR, NAMES_A_DAY } from '../social/accounts/me-routes.ts'
import { UNUSED_KEPT } from '../social/media/free.ts'
import { UNVERIFIED_QUOTA, UPLOADS_AT_A_TIME } from '../social/media/room.ts'
import { FAILURES, FAILURES_WITHIN_SECONDS } from '../social/passwords/failed-sign-ins.ts'
import { MAILS_A_WINDOW } from '../social/passwords/reset-password.ts'
import { POOL_SIZE } from './context.ts'
import { SOURCES_KEPT_DAYS } from './forget-sources.ts'
import { jobPoolSize } from './job-pool.ts'
import { KEPT } from './retention.ts'

/** Replaces the retention times and limits of this role in `ops.settings` by those of this process. */
export async function writeSettings({ pool, config }: App, role: Role, sockets: SocketLimits): Promise<void> {
  const connections = ['connections of a process', `${connectionsOf(role, config, sockets)}`] satisfies Setting
  const settings = [...retention(config), ...limits(config), ...rates(config), ...ofSockets(sockets), connections]
  await pool.query(
    `with gone as (
       delete from notify.settings where role = $1 and name <> all($2::text[])
     )
     insert into notify.settings (role, name, value, set_by)
     select $1, name, value, set_by from ${shown.from}
     on conflict (role, name) do update set value = excluded.value, set_by = excluded.set_by, written_at = now()`,
    [role, ...shown.values(settings)],
  )
}

/** Limits of the push role. Repeated here, because worker must not import push. */
type SocketLimits = { socketsPerUser: number; maxPayload: number; poolSize: number }
type Setting = [name: string, value: string, variable?: string]

const shown = columns<Setting>(
  {
    name: ['text', ([name]) => name],
    value: ['text', ([, value]) => value],
    set_by: ['text', ([, , variable]) => variable ?? 'fixed'],
  },
  { first: 2 },
)

/** Connections to the database that a process may open: its pools when they are full, and LISTEN. `ops.advice` adds them up. */
function connectionsOf(role: Role, config: Config, sockets: SocketLimits): number {
  const parts = {
    api: CONNECTIONS + LONG_READS,
    push: sockets.poolSize + 1,
    // graphile-worker takes one of its pool for LISTEN, our listener is another.
    worker: POOL_SIZE + jobPoolSize(config) + 1,
  }
  const own = role === 'all' ? parts.api + parts.push + parts.worker : parts[role]
  return config.poolSize + own
}

function retention(config: Config): Setting[] {
  return [
    ['retention of the log', `${config.outboxRetentionDays} days and a tenth`, 'OUTBOX_RETENTION_DAYS'],
    ['retention of the delivery log', `${config.deliveryLogRetentionDays} days`, 'DELIVERY_LOG_RETENTION_DAYS'],
    ['retention of the audit log', `${config.auditRetentionMonths} months`, 'AUDIT_RETENTION_MONTHS'],
    ['retention of the journal of inboxes', `${config.journalRetentionDays} days`, 'JOURNAL_RETENTION_DAYS'],
    ['retention of sources', `with their notification, at least ${SOURCES_KEPT_DAYS} days`],
    ['retention of removed notifications, and of states to resume from', KEPT.tombstones],
    ['retention of finished mails and pushes', KEPT.deliveries],
    ['retention of messages to webhooks', KEPT.webhookDeliveries],
    ['retention of dead letters', KEPT.deadLetters],
    ['retention of responses to Idempotency-Keys', KEPT.idempotencyKeys],
    ['retention of sends', KEPT.sends],
    ['retention of sends without an inbox', KEPT.unreached],
    ['retention of external ids of deleted users', KEPT.endedExternalIds],
    ['retention of names of locks', KEPT.namedLocks],
    ['retention of recipients whose inbox was held in a broadcast', KEPT.broadcastLate],
    ['retention of finished fan-outs', KEPT.fanOuts],
    ['retention of failed jobs', KEPT.failedJobs],
    ['retention of unused media', UNUSED_KEPT],
    ['life of an access token', `${config.accessTokenTtl} s`, 'ACCESS_TOKEN_TTL'],
    ['life of a refresh token', `${config.refreshTokenTtl} s`, 'REFRESH_TOKEN_TTL'],
  ]
}

const MIB = 1024 * 1024

function limits(config: Config): Setting[] {
  return [
    ['size of one file', `${config.mediaMaxSize / MIB} MiB`, 'MEDIA_MAX_MIB'],
    ['media of one user', `${config.mediaQuota / MIB} MiB`, 'MEDIA_QUOTA_MIB'],
    ['media of a user without a verified address, where mail is sent', `${UNVERIFIED_QUOTA / MIB} MiB`],
    ['uploads of one user at a time', `${UPLOADS_AT_A_TIME}`],
    ['media of all users', `${config.mediaTotal / MIB} MiB`, 'MEDIA_TOTAL_MIB'],
    ['likes and follows that wait', `${config.writeQueueSize}`, 'WRITE_QUEUE_SIZE'],
    ['connections to the database', `${config.poolSize}`, 'POOL_SIZE'],
    ['wrong passwords for one login', `${FAILURES} in ${FAILURES_WITHIN_SECONDS / 60} minutes`],
    ['browsers of one user that take Web Push', `${MAX_SUBSCRIPTIONS}`],
    ['mails or pushes to one user, in each worker', `${USER_PER_MINUTE} a minute`],
    ['attempts to send a mail or push', `${MAX_ATTEMPTS}`],
    ['jobs at a time', `${config.workerConcurrency}`, 'WORKER_CONCURRENCY'],
    ['poll', `${config.pollIntervalMs} ms`, 'POLL_INTERVAL_MS'],
    ['sweep', `${config.sweepIntervalMs} ms`, 'SWEEP_INTERVAL_MS'],
  ]
}

function rates(config: Config): Setting[] {
  const own: [string, number, string][] = [
    ['mails that reset a password', MAILS_A_WINDOW, 'half an hour per account'],
    ['mails that verify an address', ADDRESS_MAILS_AN_HOUR, 'an hour per account'],
    ['changes of the username', NAMES_A_DAY, 'a day per account'],
    ...Object.entries(policies).map(([name, { perMinute, of }]): [string, number, string] => [
      `rate limit ${name}`,
      perMinute,
      `a minute per ${of}`,
    ]),
  ]
  return own.map(([name, points, per]) => [name, `${scaledLimit(config, points)} ${per}`, 'RATE_LIMIT_SCALE'])
}

function ofSockets({ socketsPerUser, maxPayload }: SocketLimits): Setting[] {
  return [
    ['sockets of one user', `${socketsPerUser}`],
    ['octets of a frame', `${maxPayload}`],
  ]
}
