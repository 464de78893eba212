import type pg from 'pg'
import { type ColumnsOf, columns, hiddenIds } from '../../db/columns.ts'
import { type Sent, together } from '../../db/transaction.ts'
import { logStored } from '../delivery-log/append.ts'
import { endSources } from '../fan-outs/end-sources.ts'
import type { TypeLookup } from '../types/types.ts'
import { ACTORS_KEPT, rank } from './actors.ts'
import { commentOfSource, factsWith } from './event-content.ts'
import { type Draft, NOBODY, noWords } from './model.ts'
import type { Change } from './store.ts'

const keys: ColumnsOf<Draft> = {
  user_id: ['bigint', (draft) => draft.userId],
  id: ['bigint', (draft) => draft.id],
}
const stored = columns(keys)
const numbered = columns(keys, { place: 'place' })

export async function insertNotifications(client: pg.ClientBase, types: TypeLookup, created: Change[]): Promise<void> {
  if (created.length === 0) return
  await client.query({
    name: 'insert_notifications',
    text: insertStatement,
    values: inserted.values(created, types),
  })
}

const inserted = columns<Change, TypeLookup>({
  user_id: ['bigint', ({ draft }) => draft.userId],
  id: ['bigint', ({ draft }) => draft.id],
  type: ['text', ({ draft }) => draft.type],
  priority: ['text', ({ draft }) => draft.priority],
  severity: ['text', ({ draft }, types) => draft.sent.severity ?? types(draft.type).severity],
  group_key: ['text', ({ draft }) => draft.groupKey],
  thread_key: ['text', ({ draft }) => draft.threadKey],
  object_type: ['text', ({ draft }) => draft.objectType],
  object_id: ['text', ({ draft }) => draft.objectId],
  data: ['jsonb', ({ draft }) => JSON.stringify(draft.data)],
  actor_ids: ['text', ({ draft }) => arrayLiteral(draft.actorIds)],
  followed_actors: ['int', ({ draft }) => draft.followedActors],
  actor_count: ['int', ({ draft }) => draft.actorCount],
  request_id: ['text', ({ draft }) => draft.requestId],
  silent: ['boolean', ({ draft }) => draft.silent],
  filter_reason: ['text', ({ draft }) => draft.filterReason],
  closed: ['boolean', ({ draft }) => !draft.open],
  grown_at: ['float8', ({ draft }) => draft.grownAt],
  retention_seconds: ['float8', ({ draft }, types) => types(draft.type).retentionSeconds],
  words: ['jsonb', ({ draft }) => wordsOf(draft)],
})

const insertStatement = `
  insert into notify.notifications (
    user_id,
    id,
    modseq,
    grown_modseq,
    type,
    priority,
    severity,
    title,
    body,
    url,
    group_key,
    thread_key,
    object_type,
    object_id,
    data,
    actor_ids,
    followed_actors,
    actor_count,
    request_id,
    silent,
    filtered,
    filter_reason,
    closed_at,
    updated_at,
    expires_at
  )
  select
    w.user_id,
    w.id,
    w.id,
    w.id,
    w.type,
    w.priority,
    w.severity,
    x.title,
    x.body,
    x.url,
    w.group_key,
    w.thread_key,
    w.object_type,
    w.object_id,
    w.data,
    w.actor_ids::bigint[],
    w.followed_actors,
    w.actor_count,
    w.request_id,
    w.silent,
    w.filter_reason is not null,
    w.filter_reason,
    case when w.closed then now() end,
    to_timestamp(w.grown_at / 1000),
    coalesce(x.expires_at, now() + make_interval(secs => w.retention_seconds))
  from ${inserted.from}
  left join lateral (
    select
      words ->> 'title' as title,
      words ->> 'body' as body,
      words ->> 'url' as url,
      (words ->> 'expiresAt')::timestamptz as expires_at
  ) x on words is not null`

/** Reads the latest actors again where too few are left. Rare, because eight are kept for the three shown. */
export async function completeActors(client: pg.ClientBase, types: TypeLookup, updated: Change[]): Promise<void> {
  const incomplete = new Map(
    updated.filter(({ draft }) => draft.actorsIncomplete).map(({ draft }) => [`${draft.userId} ${draft.id}`, draft]),
  )
  if (incomplete.size === 0) return
  const drafts = [...incomplete.values()]
  const { rows } = await client.query<{ key: string; actorIds: string[]; followedActors: number }>({
    name: 'latest_actors',
    text: `select concat_ws(' ', w.user_id, w.id) as key, array_agg(a.actor_id::text order by a.followed desc, a.latest desc) as "actorIds",
             count(*) filter (where a.followed)::int as "followedActors"
           from ${stored.from}
           cross join lateral (
             select s.actor_id, max(s.event_id) as latest,
               exists (select from social.follows f where f.follower_id = w.user_id and f.followee_id = s.actor_id) as followed
             from notify.sources s
             where s.user_id = w.user_id and s.notification_id = w.id and s.live and s.actor_id <> ${NOBODY}
             group by s.actor_id order by followed desc, latest desc limit ${ACTORS_KEPT}
           ) a
           group by w.user_id, w.id`,
    values: stored.values(drafts),
  })
  for (const { key, actorIds, followedActors } of rows) {
    const draft = incomplete.get(key)
    if (!draft) continue
    Object.assign(draft, { actorIds, followedActors })
    rank(draft, types(draft.type))
  }
}

/**
 * Reads the latest comment of a group again after it was retracted, from the remaining sources of the group. Usually there are
 * few.
 */
export async function completeComments(client: pg.ClientBase, updated: Change[]): Promise<void> {
  const drafts = updated.filter(({ draft }) => draft.commentUnknown).map(({ draft }) => draft)
  if (drafts.length === 0) return
  const { rows } = await client.query<{ place: number; commentId: string | null }>({
    name: 'latest_comments',
    text: `select w.place::int as place, c.latest as "commentId"
           from ${numbered.from}
           cross join lateral (
             select max(${commentOfSource}) as latest from notify.sources s
             where s.user_id = w.user_id and s.notification_id = w.id and s.live
           ) c`,
    values: numbered.values(drafts),
  })
  for (const { place, commentId } of rows) {
    const draft = drafts[place - 1]
    if (draft) draft.data = factsWith(draft, commentId)
  }
}

/** Updates grown notifications. A group has the texts of its latest send, and the latest expiry of all. */
export async function updateNotifications(client: pg.ClientBase, types: TypeLookup, updated: Change[]): Promise<void> {
  if (updated.length === 0) return
  await client.query({
    name: 'update_notifications',
    text: updateStatement,
    values: changed.values(updated, types),
  })
}

const changed = columns<Change, TypeLookup>(
  {
    user_id: ['bigint', ({ draft }) => draft.userId],
    id: ['bigint', ({ draft }) => draft.id],
    modseq: ['bigint', ({ modseq }) => modseq],
    grown: ['boolean', ({ draft }) => draft.grown],
    grown_at: ['float8', ({ draft }) => draft.grownAt],
    data: ['jsonb', ({ draft }) => JSON.stringify(draft.data)],
    actor_ids: ['text', ({ draft }) => arrayLiteral(draft.actorIds)],
    actor_count: ['int', ({ draft }) => draft.actorCount],
    request_id: ['text', ({ draft }) => draft.requestId],
    followed_actors: ['int', ({ draft }) => draft.followedActors],
    priority: ['text', ({ draft }) => draft.priority],
    silent: ['boolean', ({ draft }) => draft.silent],
    words: ['jsonb', ({ draft }) => wordsOf(draft)],
    retention_seconds: ['float8', ({ draft }, types) => types(draft.type).retentionSeconds],
  },
  { hidden: true },
)

const updateStatement = `
  update notify.notifications n
  set modseq = w.modseq,
      grown_modseq = case when w.grown then w.modseq else n.grown_modseq end,
      updated_at = case when w.grown then to_timestamp(w.grown_at / 1000) else n.updated_at end,
      delivered_at = case when w.grown then null else n.delivered_at end,
      data = w.data,
      actor_ids = w.actor_ids::bigint[],
      actor_count = w.actor_count,
      request_id = coalesce(w.request_id, n.request_id),
      followed_actors = w.followed_actors,
      priority = w.priority,
      silent = w.silent,
      title = case when w.words is null then n.title else w.words ->> 'title' end,
      body = case when w.words is null then n.body else w.words ->> 'body' end,
      url = case when w.words is null then n.url else w.words ->> 'url' end,
      severity = coalesce(w.words ->> 'severity', n.severity),
      expires_at = case
        when w.words is null then n.expires_at
        else greatest(
          n.expires_at,
          coalesce((w.words ->> 'expiresAt')::timestamptz, now() + make_interval(secs => w.retention_seconds))
        )
      end
  from ${changed.from}
  where n.user_id = w.user_id and n.id = w.id and n.user_id = any(${hiddenIds('$1')})`

export async function storeRemovals(client: pg.ClientBase, removed: Change[], because: string): Promise<void> {
  if (removed.length === 0) return
  const removal: Sent<unknown> = client.query({
    name: 'remove_notifications',
    text: `with gone as (
             delete from notify.notifications n using ${stored.from}
             where n.user_id = w.user_id and n.id = w.id and n.user_id = any($1::bigint[])
             returning n.*
           )
           ${logStored('gone')}`,
    values: stored.values(removed.map(({ draft }) => draft)),
  })
  const tombstones: Sent<unknown> = client.query({
    name: 'leave_tombstones',
    text: `insert into notify.tombstones (user_id, modseq, id)
           select user_id, modseq, id from ${gone.from}`,
    values: gone.values(removed),
  })
  const ended: Sent<void> = endSources(
    client,
    removed.map(({ draft, modseq }) => ({ userId: draft.userId, id: draft.id, modseq })),
    because,
  )
  await together([removal, tombstones, ended])
}

const gone = columns<Change>({
  user_id: ['bigint', ({ draft }) => draft.userId],
  modseq: ['bigint', ({ modseq }) => modseq],
  id: ['bigint', ({ draft }) => draft.id],
})

/** Closes groups without a change of their notification, because users do not see it. */
export async function closeExpiredGroups(client: pg.ClientBase, groups: Draft[]): Promise<void> {
  if (groups.length === 0) return
  await client.query({
    name: 'close_expired_groups',
    text: `update notify.notifications n set closed_at = now()
           from ${stored.from}
           where n.user_id = w.user_id and n.id = w.id and n.user_id = any($1::bigint[])`,
    values: stored.values(groups),
  })
}

/** The texts of a notification as JSON; null if it has none of its own. */
function wordsOf({ sent }: Draft): string | null {
  return sent === noWords ? null : JSON.stringify(sent)
}

/** Formats an inner array as a literal, because unnest would flatten nested arrays. */
function arrayLiteral(ids: string[]): string {
  return `{${ids.join(',')}}`
}
