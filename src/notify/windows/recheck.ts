import type pg from 'pg'
import { columns } from '../../db/columns.ts'
import { appendToLog } from '../delivery-log/append.ts'
import { type Inbox, NOBODY } from '../dispatch/model.ts'
import {
  type Decision,
  decide,
  type FilterReason,
  type Relation,
  type UserPreferences,
  whyFiltered,
} from '../rules/decide.ts'
import { postOf, silencedBy } from '../rules/silences.ts'
import type { TypeLookup } from '../types/types.ts'
import { keyColumns, objectsOfWindow, type Window, waiting } from './rows.ts'

/** Current decisions of a window's type and its user's preferences, for people the user follows and for strangers. */
export type Verdicts = { known: Verdict; stranger: Verdict }

/** `place`: the window it belongs in, by filter; null: notify nobody. */
type Verdict = { inApp: Decision; place: 'none' | FilterReason | null }

const aStranger: Relation = { self: false, blocked: false, muted: false, threadMuted: false, followed: false }

/** Applies again the rules that are the same for everyone who waits in a window. */
export function judge(
  types: TypeLookup,
  inboxes: Map<string, Inbox>,
  preferences: Map<string, UserPreferences>,
  windows: Window[],
): Map<Window, Verdicts> {
  const verdict = ({ type, userId }: Window, relation: Relation | null): Verdict => {
    const decideOn = (channel: Parameters<typeof decide>[1]) =>
      decide(types(type), channel, relation, preferences.get(userId))
    const inApp = decideOn('inApp')
    const filterReason = whyFiltered(inApp, inboxes.get(userId)?.reachableBy ?? [], decideOn)
    return { inApp, place: filterReason ?? (inApp.decision === 'suppress' ? null : 'none') }
  }
  return new Map(
    windows.map((window) => [window, { known: verdict(window, null), stranger: verdict(window, aStranger) }]),
  )
}

/**
 * Removes waiting people whose object no longer exists, who are blocked or muted, or whom the preferences now exclude;
 * logs the latter two. Moves people who now belong in another window of the group. Returns those windows.
 */
export async function turnAway(
  client: pg.ClientBase,
  verdicts: Map<Window, Verdicts>,
  gone: Set<string>,
): Promise<Window[]> {
  const { rows } = await client.query<Turned>({
    name: 'turn_away',
    text: turnAwayStatement,
    values: [...judged.values([...verdicts], gone), [...gone].filter((object) => object.startsWith('comment:'))],
  })
  const suppressed = rows.filter(({ place, reason }) => place === null && reason !== null)
  await appendToLog(
    client,
    suppressed.map(({ recipientId, reason }) => ({ recipientId, reason, notificationId: null, event: 'filtered' })),
  )
  return windowsMovedTo([...verdicts.keys()], rows)
}

/** `window`: number of the window it waited in. Without a reason, its object no longer exists. */
type Turned = { window: number; recipientId: string; reason: string | null; place: Verdict['place'] }

const judged = columns<[Window, Verdicts], Set<string>>(
  {
    ...keyColumns(([window]: [Window, Verdicts]) => window),
    object_gone: ['boolean', ([window], gone) => objectsOfWindow(window).some((object) => gone.has(object))],
    thread_key: ['text', ([window]) => window.threadKey],
    known_place: ['text', ([, { known }]) => known.place],
    known_by: ['text', ([, { known }]) => known.inApp.decidedBy],
    stranger_place: ['text', ([, { stranger }]) => stranger.place],
    stranger_by: ['text', ([, { stranger }]) => stranger.inApp.decidedBy],
  },
  { place: 'number' },
)

/** The rules in their order: silences, the policy for strangers, preferences. Without an actor there is no stranger. */
const turnAwayStatement = `
  update notify.sources t
  set waits_for = case when v.place is not null then t.waits_for end, waits_filter = coalesce(v.place, t.waits_filter), decided_at = now(),
    decision = case when v.gone then 'object_gone' when v.place is null then 'suppressed' else t.decision end, decided_by = v.by
  from (
    select s.user_id, s.source_id, w.number, w.filter, x.gone,
      case when x.gone or x.silence is not null then null when x.stranger then w.stranger_place else w.known_place end as place,
      case when x.gone then null when x.silence is not null then x.silence when x.stranger then w.stranger_by else w.known_by end as by
    from ${judged.from}
    ${waiting}
    cross join lateral (
      select s.source_id = any(${judged.next}::text[]) or w.object_gone as gone,
        ${silencedBy({ user: 's.user_id', actor: 's.actor_id', post: postOf('w.thread_key') })} as silence,
        case when w.known_by is distinct from w.stranger_by and s.actor_id <> ${NOBODY} then
          not exists (select from social.follows f where f.follower_id = s.user_id and f.followee_id = s.actor_id) end as stranger
      offset 0
    ) x
  ) v
  where t.user_id = v.user_id and t.source_id = v.source_id and v.place is distinct from v.filter
  returning v.number::int as window, t.user_id as "recipientId", v.by as reason, v.place`

function windowsMovedTo(windows: Window[], turned: Turned[]): Window[] {
  const moves = new Map(
    turned.flatMap(({ window: number, place }) => {
      const window = windows[number - 1]
      return window && place
        ? [[`${number} ${place}`, { ...window, filterReason: place === 'none' ? null : place }]]
        : []
    }),
  )
  return [...moves.values()]
}
