import { type Static, Type } from '@sinclair/typebox'
import type { App } from '../../app.ts'
import { type Decision, decide, type UserPreferences } from '../rules/decide.ts'
import { preferencesOf, readMutedThreads, readRelations, relationOf } from '../rules/relations.ts'
import { type Channel, channels } from '../types/types.ts'
import type { Preferences } from './document.ts'
import { checkTimeZone } from './store.ts'

/** Notifications that are looked at, the newest ones: each is decided six times. */
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
}

/**
 * Decides the user's notifications of the last `days` again, by the stored preferences and by this document, with blocks, mutes and
 * follows as they are now. What the stored preferences suppressed was never a notification, so it is not among them.
 * @throws {AppError} BAD_TIME_ZONE
 */
export async function whatIf(app: App, userId: string, document: Preferences, days: number): Promise<WhatIf> {
  if (document.dnd) await checkTimeZone(app.pool, document.dnd.timeZone)
  const [lookup, said] = await Promise.all([app.types.current(), preferencesOf(app.pool, [userId])])
  const stored = said.get(userId)?.document ?? {}
  const { rows } = await app.pool.query<Row>({
    name: 'notifications_to_decide_again',
    text: `select n.type, n.priority, n.thread_key as "threadKey", n.actor_ids[1]::text as "actorId",
             notify.quiet_until($3::jsonb -> 'dnd', n.updated_at) as "quietBefore",
             notify.quiet_until($4::jsonb -> 'dnd', n.updated_at) as "quietAfter",
             notify.snooze_until($3::jsonb ->> 'snoozeUntil', n.updated_at) as "snoozedBefore",
             notify.snooze_until($4::jsonb ->> 'snoozeUntil', n.updated_at) as "snoozedAfter"
           from (select * from notify.notifications where user_id = $1 order by grown_modseq desc limit ${MOST}) n
           where n.updated_at > now() - make_interval(days => $2)`,
    values: [userId, days, stored, document],
  })
  const events = rows.map(({ actorId, threadKey }) => ({ recipientId: userId, actorId, threadKey, retracts: false }))
  const [relations, mutedThreads] = await Promise.all([
    readRelations(app.pool, events),
    readMutedThreads(app.pool, events),
  ])
  const types: WhatIf['types'] = {}
  let differs = 0
  for (const [at, row] of rows.entries()) {
    const relation = events[at] ? relationOf(events[at], { relations, mutedThreads }) : null
    const outcomeOf = (channel: Channel, preferences: UserPreferences) =>
      nameOf(decide(lookup(row.type), channel, relation, preferences, row.priority === 'critical'))
    let differsHere = false
    types[row.type] ??= emptyDifferences()
    for (const channel of channels) {
      const before = outcomeOf(channel, { document: stored, dndUntil: row.quietBefore, snoozeUntil: row.snoozedBefore })
      const after = outcomeOf(channel, { document, dndUntil: row.quietAfter, snoozeUntil: row.snoozedAfter })
      const difference = types[row.type]?.[channel]
      if (difference) {
        count(difference.before, before)
        count(difference.after, after)
      }
      differsHere ||= before !== after
    }
    if (differsHere) differs += 1
  }
  return { days, notifications: rows.length, differs, types }
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
