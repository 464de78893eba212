import { type Static, Type } from '@sinclair/typebox'
import type { App } from '../../app.ts'
import { counts, type Sounded, withOneMore } from '../rules/cap.ts'
import { type Decision, decide, type Relation, type UserPreferences } from '../rules/decide.ts'
import { preferencesOf, readRelations, relationOf } from '../rules/relations.ts'
import { type Channel, channels, type NotificationType } from '../types/types.ts'
import type { GivenPreferences } from './document.ts'
import { completed } from './store.ts'

/** Maximum number of notifications to decide again, the newest first. Each is decided six times. */
const MOST = 2000

const outcomes = ['allow', 'silent', 'filter', 'suppress', 'defer'] as const
type Outcome = (typeof outcomes)[number]

const Counts = Type.Partial(Type.Object(Object.fromEntries(outcomes.map((name) => [name, Type.Integer()]))))
const Difference = Type.Object({ before: Counts, after: Counts })

export const WhatIf = Type.Object({
  days: Type.Integer(),
  notifications: Type.Integer({
    description: `Notifications of these days for which the decision was repeated, at most ${MOST}`,
  }),
  differs: Type.Integer({
    description: 'Notifications for which the decision changes in at least one channel',
  }),
  types: Type.Record(Type.String(), Type.Object({ inApp: Difference, email: Difference, webPush: Difference })),
})
export type WhatIf = Static<typeof WhatIf>

type Row = {
  type: string
  priority: string
  threadKey: string | null
  actorId: string | null
  quietBefore: Date | null
  quietAfter: Date | null
  snoozedBefore: Date | null
  snoozedAfter: Date | null
  digestBefore: Date | null
  digestAfter: Date | null
  at: Date
}

/**
 * Decides the user's notifications of the last `days` again, by the stored preferences and by this document, with
 * current blocks, mutes and follows. Suppressed events never became notifications, so they are not included.
 * @throws {AppError} BAD_TIME_ZONE, VALIDATION_FAILED
 */
export async function whatIf(app: App, userId: string, given: GivenPreferences, days: number): Promise<WhatIf> {
  const document = await completed(app.pool, given)
  const [lookup, ownPreferences] = await Promise.all([app.types.current(), preferencesOf(app.pool, [userId])])
  const stored = ownPreferences.get(userId)?.document ?? {}
  const { rows } = await app.pool.query<Row>({
    name: 'notifications_to_decide_again',
    text: `select n.type, n.priority, n.thread_key as "threadKey", n.actor_ids[1]::text as "actorId",
             notify.quiet_until($3::jsonb -> 'dnd', n.updated_at) as "quietBefore",
             notify.quiet_until($4::jsonb -> 'dnd', n.updated_at) as "quietAfter",
             notify.snooze_until($3::jsonb ->> 'snoozeUntil', n.updated_at) as "snoozedBefore",
             notify.snooze_until($4::jsonb ->> 'snoozeUntil', n.updated_at) as "snoozedAfter",
             notify.digest_at($3::jsonb -> 'digest', notify.digest_zone($1, $3::jsonb -> 'digest'), n.updated_at) as "digestBefore",
             notify.digest_at($4::jsonb -> 'digest', notify.digest_zone($1, $4::jsonb -> 'digest'), n.updated_at) as "digestAfter",
             n.updated_at as at
           from (select * from notify.notifications where user_id = $1 order by grown_modseq desc limit ${MOST}) n
           where n.updated_at > now() - make_interval(days => $2)
           order by n.grown_modseq`,
    values: [userId, days, stored, document],
  })
  const events = rows.map(({ actorId, threadKey }) => ({ recipientId: userId, actorId, threadKey, retracts: false }))
  const relations = await readRelations(app.pool, events)
  const types: WhatIf['types'] = {}
  let differs = 0
  let recent: { before: Sounded[]; after: Sounded[] } = { before: [], after: [] }
  for (const [index, row] of rows.entries()) {
    const type = lookup(row.type)
    const relation = events[index] ? relationOf(events[index], relations) : null
    const decideBy = (ownPreferences: UserPreferences) => decideRow(row, type, relation, ownPreferences)
    const before = decideBy({ document: stored, ...timesBefore(row), recent: recent.before, at: row.at })
    const after = decideBy({ document, ...timesAfter(row), recent: recent.after, at: row.at })
    recent = { before: before.recent, after: after.recent }
    const differences = types[row.type] ?? emptyDifferences()
    types[row.type] = differences
    for (const channel of channels) {
      count(differences[channel].before, before.outcomes[channel])
      count(differences[channel].after, after.outcomes[channel])
    }
    if (channels.some((channel) => before.outcomes[channel] !== after.outcomes[channel])) differs += 1
  }
  return { days, notifications: rows.length, differs, types }
}

/**
 * Decides one notification for each channel. Also returns the recent notifications that count towards the user's caps, with this
 * one if it does.
 */
function decideRow(
  row: Row,
  type: NotificationType,
  relation: Relation | null,
  ownPreferences: UserPreferences,
): { outcomes: Record<Channel, Outcome>; recent: Sounded[] } {
  const critical = row.priority === 'critical'
  const outcomeOf = (channel: Channel) => nameOf(decide(type, channel, relation, ownPreferences, critical))
  const outcomes = { inApp: outcomeOf('inApp'), email: outcomeOf('email'), webPush: outcomeOf('webPush') }
  const makesSound = outcomes.inApp === 'allow' && counts(ownPreferences, type, critical)
  return { outcomes, recent: makesSound ? withOneMore(ownPreferences, row.type).recent : ownPreferences.recent }
}

function timesBefore({ quietBefore, snoozedBefore, digestBefore }: Row) {
  return { dndUntil: quietBefore, snoozeUntil: snoozedBefore, digestAt: digestBefore }
}

function timesAfter({ quietAfter, snoozedAfter, digestAfter }: Row) {
  return { dndUntil: quietAfter, snoozeUntil: snoozedAfter, digestAt: digestAfter }
}

function nameOf({ decision, filtered, until }: Decision): Outcome {
  if (filtered) return 'filter'
  return decision === 'allow' && until !== null ? 'silent' : decision
}

function emptyDifferences(): WhatIf['types'][string] {
  const empty = () => ({ before: {}, after: {} })
  return { inApp: empty(), email: empty(), webPush: empty() }
}

function count(counts: Static<typeof Counts>, outcome: Outcome): void {
  counts[outcome] = (counts[outcome] ?? 0) + 1
}
