import type { App } from '../app.ts'
import type { Role } from '../base/process/role.ts'
import type { Config } from '../config.ts'
import { policies } from '../http/rate-limits.ts'
import { UNUSED_KEPT } from '../social/media/free.ts'
import { SOURCES_KEPT_DAYS } from './forget-sources.ts'
import { KEPT } from './retention.ts'

/** Writes the retention times and limits of this process where `ops.settings` shows them, in place of the role's former ones. */
export async function writeSettings({ pool, config }: App, role: Role, sockets: SocketLimits): Promise<void> {
  const settings = [...retention(config), ...limits(config), ...rates(config), ...ofSockets(sockets)]
  await pool.query(
    `with gone as (
       delete from notify.settings where role = $1 and name <> all($2::text[])
     )
     insert into notify.settings (role, name, value, set_by)
     select $1, name, value, set_by from unnest($2::text[], $3::text[], $4::text[]) given (name, value, set_by)
     on conflict (role, name) do update set value = excluded.value, set_by = excluded.set_by, written_at = now()`,
    [
      role,
      settings.map(([name]) => name),
      settings.map(([, value]) => value),
      settings.map(([, , setBy]) => setBy ?? 'fixed'),
    ],
  )
}

/** Of the push role, which is another room. */
type SocketLimits = { socketsPerUser: number; maxPayload: number }
type Setting = [name: string, value: string, variable?: string]

function retention(config: Config): Setting[] {
  return [
    ['retention of the log', `${config.outboxRetentionDays} days and a tenth`, 'OUTBOX_RETENTION_DAYS'],
    ['retention of the delivery log', `${config.deliveryLogRetentionDays} days`, 'DELIVERY_LOG_RETENTION_DAYS'],
    ['retention of sources', `with their notification, at least ${SOURCES_KEPT_DAYS} days`],
    ['retention of removed notifications, and of states to resume from', KEPT.tombstones],
    ['retention of finished mails and pushes', KEPT.deliveries],
    ['retention of dead letters', KEPT.deadLetters],
    ['retention of responses to Idempotency-Keys', KEPT.idempotencyKeys],
    ['retention of sends', KEPT.sends],
    ['retention of sends without an inbox', KEPT.unreached],
    ['retention of external ids of deleted users', KEPT.endedExternalIds],
    ['retention of names of locks', KEPT.namedLocks],
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
    ['media of all users', `${config.mediaTotal / MIB} MiB`, 'MEDIA_TOTAL_MIB'],
    ['likes and follows that wait', `${config.writeQueueSize}`, 'WRITE_QUEUE_SIZE'],
    ['connections to the database', `${config.poolSize}`, 'POOL_SIZE'],
    ['jobs at a time', `${config.workerConcurrency}`, 'WORKER_CONCURRENCY'],
    ['poll', `${config.pollIntervalMs} ms`, 'POLL_INTERVAL_MS'],
    ['sweep', `${config.sweepIntervalMs} ms`, 'SWEEP_INTERVAL_MS'],
  ]
}

function rates({ rateLimitScale }: Config): Setting[] {
  return Object.entries(policies).map(([name, { perMinute, of }]): Setting => {
    const scaled = Math.max(1, Math.round(perMinute * rateLimitScale))
    return [`rate limit ${name}`, `${scaled} a minute per ${of}`, 'RATE_LIMIT_SCALE']
  })
}

function ofSockets({ socketsPerUser, maxPayload }: SocketLimits): Setting[] {
  return [
    ['sockets of one user', `${socketsPerUser}`],
    ['octets of a frame', `${maxPayload}`],
  ]
}
