import type pg from 'pg'
import { columns } from '../../db/columns.ts'
import { logIsOpen } from '../delivery-log/append.ts'
import type { Draft, Inbox } from '../dispatch/model.ts'
import { type Decision, decide, isChosen, type UserPreferences } from '../rules/decide.ts'
import type { Channel, NotificationType, TypeLookup } from '../types/types.ts'

/** Unread notifications go out in one mail after this delay. Web Pushes and critical notifications go out at once. */
const EMAIL_DELAY_SECONDS = 600
/**
 * Critical deliveries come before everything that became due in the last hour: a security code must not wait for a
 * backlog.
 */
const CRITICAL_AHEAD_SECONDS = 3600

/**
 * Queues the notifications that grew in this transaction, for the channels that are wanted and can reach the user. Logs
 * deliveries that the user's preferences suppress as skipped, with the rule.
 * Requires stored notifications and locked inboxes. Unreachable users and channels that are off by default cost
 * nothing.
 */
export async function queueDeliveries(
  client: pg.ClientBase,
  types: TypeLookup,
  inboxes: Map<string, Inbox>,
  drafts: Draft[],
): Promise<void> {
  const queued = drafts
    .filter((draft) => draft.grown && !draft.removed && draft.filterReason !== 'strangers')
    .flatMap((draft) => waysOf(draft, types, inboxes.get(draft.userId)))
  if (queued.length === 0) return
  await client.query({
    name: 'queue_deliveries',
    text: queueStatement,
    values: ways.values(queued),
  })
}

function waysOf(draft: Draft, types: TypeLookup, inbox: Inbox | undefined) {
  const critical = draft.priority === 'critical'
  const about = { type: types(draft.type), critical, channels: draft.channels }
  return decisionsOnChannels(about, inbox, draft.ownPreferences).flatMap(({ channel, decision, until, decidedBy }) => {
    if (decision === 'suppress' && decidedBy === 'typeDefault') return []
    const delaySeconds = critical ? -CRITICAL_AHEAD_SECONDS : decidedBy === 'digest' ? 0 : delays[channel]
    const because = decision === 'allow' ? nothing : { until: decision === 'defer' ? until : null, decidedBy }
    return [{ draft, channel, delaySeconds, wanted: decision !== 'suppress', ...because }]
  })
}

const delays = { inApp: 0, email: EMAIL_DELAY_SECONDS, webPush: 0 }

type About = { type: NotificationType; critical: boolean; channels: Channel[] | null }

/** Decides for each channel that reaches the user, of those that the sender chose. */
export function decisionsOnChannels(
  { type, critical, channels }: About,
  inbox: Pick<Inbox, 'reachableBy'> | undefined,
  ownPreferences: UserPreferences | undefined,
): (Decision & { channel: Channel })[] {
  return (inbox?.reachableBy ?? [])
    .filter((channel) => isChosen(channels, channel))
    .map((channel) => ({ ...decide(type, channel, null, ownPreferences, critical), channel }))
}

const nothing = { until: null, decidedBy: null }

/** A notification on one channel. */
type Way = ReturnType<typeof waysOf>[number]

const ways = columns<Way>({
  user_id: ['bigint', ({ draft }) => draft.userId],
  notification_id: ['bigint', ({ draft }) => draft.id],
  grown_modseq: ['bigint', ({ draft }) => draft.grownModseq],
  channel: ['text', ({ channel }) => channel],
  delay_seconds: ['float8', ({ delaySeconds }) => delaySeconds],
  until: ['timestamptz', ({ until }) => until],
  decided_by: ['text', ({ decidedBy }) => decidedBy],
  wanted: ['boolean', ({ wanted }) => wanted],
  critical: ['boolean', ({ draft }) => draft.priority === 'critical'],
})

/**
 * Growing again queues a new message: a send in flight then finds another send_id and leaves the row unchanged. A
 * waiting mail keeps its time, so a busy group does not postpone it forever. An unwanted delivery leaves an existing
 * row unchanged: it records an earlier send, or is decided again when due.
 */
const queueStatement = `
  with w as materialized (select * from ${ways.from}),
  queued as (
    insert into notify.deliveries as d (
      user_id,
      notification_id,
      channel,
      target,
      grown_modseq,
      critical,
      state,
      reason,
      due_at
    )
    select
      w.user_id,
      w.notification_id,
      w.channel,
      t.id,
      w.grown_modseq,
      w.critical,
      case when not w.wanted then 'skipped' when w.until is null then 'queued' else 'deferred' end,
      w.decided_by,
      case when w.wanted then greatest(w.until, now() + make_interval(secs => w.delay_seconds)) end
    from w
    cross join lateral (
      select 'primary' as id where w.channel = 'email'
      union all
      select s.id from notify.push_subscriptions s where w.channel = 'webPush' and s.user_id = w.user_id
    ) t
    on conflict (user_id, notification_id, channel, target) do update
    set grown_modseq = excluded.grown_modseq, critical = excluded.critical, state = excluded.state, reason = excluded.reason, updated_at = now(),
      due_at = case when d.state = 'queued' and d.send_id is null then least(d.due_at, excluded.due_at) else excluded.due_at end,
      send_id = null, attempts = 0, last_error = null
    where excluded.state <> 'skipped'
  )
  insert into notify.delivery_log (recipient_id, notification_id, event, channel, reason)
  select user_id, notification_id, 'filtered', channel, decided_by from w where not wanted and ${logIsOpen}`
