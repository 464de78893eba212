import type pg from 'pg'
import { columns } from '../../db/columns.ts'
import { ACTORS_KEPT, rank } from '../dispatch/actors.ts'
import { commentOfSource, factsWith, latestFacts } from '../dispatch/event-content.ts'
import { type Draft, emptyDraft, keyOfGroup, NOBODY } from '../dispatch/model.ts'
import { readOpenGroups } from '../dispatch/read-drafts.ts'
import { counts, withOneMore } from '../rules/cap.ts'
import { type Decision, decide, type UserPreferences } from '../rules/decide.ts'
import type { TypeLookup } from '../types/types.ts'
import { keyColumns, type Window } from './rows.ts'

/** A group that grows. `outgrown`: its predecessor, which must be closed. */
type Group = { window: Window; draft: Draft; outgrown: Draft | undefined }

/** A group with its additions, and what is decided about them in the app. */
export type Gathered = Group & { inApp: Decision }

/**
 * Adds all waiting people to their groups, or to new ones where these are closed or full. `comments` are locked
 * already; sources with other comments stay for the next window. Counts them in `preferences` for caps.
 */
export async function gather(
  client: pg.ClientBase,
  types: TypeLookup,
  windows: Window[],
  preferences: Map<string, UserPreferences>,
  comments: string[],
): Promise<Gathered[]> {
  const openGroups = await readOpenGroups(client, windows)
  const groups = windows.map((window) => {
    const current = openGroups.get(keyOfGroup(window))
    const fits = current?.open && current.actorCount < types(window.type).maxGroupSize
    const draft = fits ? current : newDraft(window, types)
    return { window, draft, outgrown: fits ? undefined : current }
  })
  const { rows } = await client.query<Waiting>({
    name: 'gather_waiting',
    text: gatherStatement,
    values: [...growing.values(groups), comments],
  })
  return rows.flatMap((row) => {
    const group = groups[row.place - 1]
    if (!group) return []
    const { draft, window } = group
    grow(draft, window, row)
    const type = types(draft.type)
    const ownPreferences = preferences.get(draft.userId)
    const inApp = decide(type, 'inApp', null, ownPreferences)
    draft.ownPreferences = ownPreferences
    draft.silent = window.filterReason === null && inApp.until !== null
    if (ownPreferences && !draft.silent && window.filterReason !== 'strangers' && counts(ownPreferences, type, false))
      preferences.set(draft.userId, withOneMore(ownPreferences, type.type))
    rank(draft, type)
    return [{ ...group, inApp }]
  })
}

/**
 * The people who wait in one window. `newPeople`: how many are not in the group yet. `followed` and `strangers`: the
 * latest people, by whether the recipient follows them.
 */
type Waiting = {
  place: number
  newPeople: number
  /** The latest waiting comment; null when there is none. */
  latestComment: string | null
  followed: string[]
  strangers: string[]
}

/** Limits the waiting sources `s` to those whose comment is locked. `comments`: the parameter with the list. */
const commentLocked = (comments: string) =>
  `(s.source_id not like 'comment:%' or s.source_id = any(${comments}::text[]))`

const growing = columns<Group>(
  { ...keyColumns(({ window }: Group) => window), notification_id: ['bigint', ({ draft }) => draft.id] },
  { place: 'place' },
)

const gatherStatement = `
  select w.place::int as place, a.*
  from ${growing.from}
  cross join lateral (
    select count(*) filter (where p.is_new and p.actor_id <> ${NOBODY})::int as "newPeople",
      max(p.latest_comment) as "latestComment",
      coalesce((array_agg(p.actor_id::text order by p.latest desc) filter (where p.followed and p.actor_id <> ${NOBODY}))[1:${ACTORS_KEPT}], '{}') as followed,
      coalesce((array_agg(p.actor_id::text order by p.latest desc) filter (where not p.followed and p.actor_id <> ${NOBODY}))[1:${ACTORS_KEPT}], '{}') as strangers
    from (
      select s.actor_id, max(s.event_id) as latest, max(${commentOfSource}) as latest_comment,
        exists (select from social.follows f where f.follower_id = w.user_id and f.followee_id = s.actor_id) as followed,
        not exists (
          select from notify.sources l
          where l.user_id = w.user_id and l.notification_id = w.notification_id and l.actor_id = s.actor_id and l.live
        ) as is_new
      from notify.sources s
      where s.user_id = w.user_id and s.waits_for = w.group_key and s.waits_filter = w.filter
        and ${commentLocked(growing.next)}
      group by s.actor_id
    ) p
    having count(*) > 0
  ) a`

function newDraft(window: Window, types: TypeLookup): Draft {
  const { userId, type, groupKey, filterReason } = window
  const draft = emptyDraft(userId, type, { ...window, data: {} }, groupKey, filterReason)
  return { ...draft, priority: types(type).priority }
}

function grow(draft: Draft, window: Window, { newPeople, latestComment, followed, strangers }: Waiting): void {
  const isNew = (id: string) => !followed.includes(id) && !strangers.includes(id)
  const formerlyFollowed = draft.actorIds.slice(0, draft.followedActors).filter(isNew)
  const formerStrangers = draft.actorIds.slice(draft.followedActors).filter(isNew)
  draft.actorIds = [...followed, ...formerlyFollowed, ...strangers, ...formerStrangers].slice(0, ACTORS_KEPT)
  draft.followedActors = Math.min(followed.length + formerlyFollowed.length, ACTORS_KEPT)
  draft.actorCount += newPeople
  draft.data = latestFacts(draft.data, latestComment === null ? window.data : factsWith(window, latestComment))
  draft.changed = true
  draft.grown = true
}

/** Gathered sources no longer wait and belong to the notification, which is stored and has an id by now. */
export async function showSources(client: pg.ClientBase, gathered: Gathered[], comments: string[]): Promise<void> {
  if (gathered.length === 0) return
  await client.query({
    name: 'show_waiting',
    text: `update notify.sources s
           set waits_for = null, live = true, notified = true, notification_id = w.notification_id, silent = w.silent,
               decided_at = now(), decision = case when w.filter <> 'none' then 'filtered' else 'shown' end,
               decided_by = coalesce(w.decided_by, s.decided_by)
           from ${shown.from}
           where s.user_id = w.user_id and s.waits_for = w.group_key and s.waits_filter = w.filter
             and ${commentLocked(shown.next)}`,
    values: [...shown.values(gathered), comments],
  })
}

const shown = columns<Gathered>({
  ...keyColumns(({ window }: Gathered) => window),
  notification_id: ['bigint', ({ draft }) => draft.id],
  silent: ['boolean', ({ draft }) => draft.silent],
  decided_by: ['text', ({ window, inApp }) => (window.filterReason ? null : inApp.decidedBy)],
})
