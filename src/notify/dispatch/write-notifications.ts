import type pg from 'pg'
import { together } from '../../db/transaction.ts'
import { endSources } from '../fan-outs/end-sources.ts'
import type { TypeLookup } from '../types/types.ts'
import { ACTORS_KEPT, rank } from './actors.ts'
import { commentOfSource, factsWith } from './event-content.ts'
import { type Draft, NOBODY, noWords } from './model.ts'
import type { Change } from './store.ts'

export async function insertNotifications(client: pg.ClientBase, types: TypeLookup, created: Change[]): Promise<void> {
  if (created.length === 0) return
  const drafts = created.map(({ draft }) => draft)
  await client.query({
    name: 'insert_notifications',
    text: `insert into notify.notifications
             (user_id, id, modseq, grown_modseq, type, priority, severity, title, body, url, group_key, thread_key, object_type, object_id,
              data, actor_ids, followed_actors, actor_count, request_id, silent, filtered, filter_reason, closed_at, expires_at)
           select u, i, i, i, t, p, s, x.title, x.body, x.url, g, h, y, o, d, a::bigint[], f, c, q, silent, r is not null, r,
             case when closed then now() end, coalesce(x.expires_at, now() + make_interval(secs => e))
           from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::jsonb[],
             $11::text[], $12::int[], $13::int[], $14::text[], $15::boolean[], $16::text[], $17::boolean[], $18::float8[], $19::jsonb[])
             w (u, i, t, p, s, g, h, y, o, d, a, f, c, q, silent, r, closed, e, words)
           left join lateral (select words ->> 'title' as title, words ->> 'body' as body, words ->> 'url' as url, (words ->> 'expiresAt')::timestamptz as expires_at) x
             on words is not null`,
    values: [
      drafts.map((d) => d.userId),
      drafts.map((d) => d.id),
      drafts.map((d) => d.type),
      drafts.map((d) => d.priority),
      drafts.map((d) => d.sent.severity ?? types(d.type).severity),
      drafts.map((d) => d.groupKey),
      drafts.map((d) => d.threadKey),
      drafts.map((d) => d.objectType),
      drafts.map((d) => d.objectId),
      drafts.map((d) => JSON.stringify(d.data)),
      drafts.map((d) => arrayLiteral(d.actorIds)),
      drafts.map((d) => d.followedActors),
      drafts.map((d) => d.actorCount),
      drafts.map((d) => d.requestId),
      drafts.map((d) => d.silent),
      drafts.map((d) => d.filterReason),
      drafts.map((d) => !d.open),
      drafts.map((d) => types(d.type).retentionSeconds),
      drafts.map((d) => (d.sent === noWords ? null : JSON.stringify(d.sent))),
    ],
  })
}

/**
 * Looks the latest actors up again where too few known ones are left. Rare, since eight are kept for the three shown.
 */
export async function completeActors(client: pg.ClientBase, types: TypeLookup, updated: Change[]): Promise<void> {
  const incomplete = new Map(
    updated.filter(({ draft }) => draft.actorsIncomplete).map(({ draft }) => [`${draft.userId} ${draft.id}`, draft]),
  )
  if (incomplete.size === 0) return
  const drafts = [...incomplete.values()]
  const { rows } = await client.query<{ key: string; actorIds: string[]; followedActors: number }>({
    name: 'latest_actors',
    text: `select concat_ws(' ', w.u, w.n) as key, array_agg(a.actor_id::text order by a.followed desc, a.latest desc) as "actorIds",
             count(*) filter (where a.followed)::int as "followedActors"
           from unnest($1::bigint[], $2::bigint[]) w (u, n)
           cross join lateral (
             select s.actor_id, max(s.event_id) as latest,
               exists (select from social.follows f where f.follower_id = w.u and f.followee_id = s.actor_id) as followed
             from notify.sources s
             where s.user_id = w.u and s.notification_id = w.n and s.live and s.actor_id <> ${NOBODY}
             group by s.actor_id order by followed desc, latest desc limit ${ACTORS_KEPT}
           ) a
           group by w.u, w.n`,
    values: [drafts.map((d) => d.userId), drafts.map((d) => d.id)],
  })
  for (const { key, actorIds, followedActors } of rows) {
    const draft = incomplete.get(key)
    if (!draft) continue
    Object.assign(draft, { actorIds, followedActors })
    rank(draft, types(draft.type))
  }
}

/**
 * Looks the latest comment of these groups up again where it was retracted. Reads the remaining sources of the group,
 * which are rarely many. That costs as much as reading its actors, and happens only when the shown comment goes.
 */
export async function completeComments(client: pg.ClientBase, updated: Change[]): Promise<void> {
  const drafts = updated.filter(({ draft }) => draft.commentUnknown).map(({ draft }) => draft)
  if (drafts.length === 0) return
  const { rows } = await client.query<{ place: number; commentId: string | null }>({
    name: 'latest_comments',
    text: `select w.place::int as place, c.latest as "commentId"
           from unnest($1::bigint[], $2::bigint[]) with ordinality w (user_id, notification_id, place)
           cross join lateral (
             select max(${commentOfSource}) as latest from notify.sources s
             where s.user_id = w.user_id and s.notification_id = w.notification_id and s.live
           ) c`,
    values: [drafts.map((d) => d.userId), drafts.map((d) => d.id)],
  })
  for (const { place, commentId } of rows) {
    const draft = drafts[place - 1]
    if (draft) draft.data = factsWith(draft, commentId)
  }
}

/** A group shows the words of its latest send, and lives as long as its longest-lived one. */
export async function updateNotifications(client: pg.ClientBase, types: TypeLookup, updated: Change[]): Promise<void> {
  if (updated.length === 0) return
  const drafts = updated.map(({ draft }) => draft)
  await client.query({
    name: 'update_notifications',
    text: `update notify.notifications n
           set modseq = w.m, grown_modseq = case when w.grown then w.m else n.grown_modseq end,
               updated_at = case when w.grown then now() else n.updated_at end,
               delivered_at = case when w.grown then null else n.delivered_at end,
               data = w.d, actor_ids = w.a::bigint[], actor_count = w.c, request_id = coalesce(w.r, n.request_id),
               followed_actors = w.f, priority = w.p, silent = w.q,
               ${['title', 'body', 'url'].map((word) => `${word} = case when w.words is null then n.${word} else w.words ->> '${word}' end`).join(', ')},
               severity = coalesce(w.words ->> 'severity', n.severity),
               expires_at = case when w.words is null then n.expires_at
                 else greatest(n.expires_at, coalesce((w.words ->> 'expiresAt')::timestamptz, now() + make_interval(secs => w.e))) end
           from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::boolean[], $5::jsonb[], $6::text[], $7::int[], $8::text[], $9::int[], $10::text[],
             $11::boolean[], $12::jsonb[], $13::float8[]) w (u, i, m, grown, d, a, c, r, f, p, q, words, e)
           where n.user_id = w.u and n.id = w.i and n.user_id = any($1::bigint[])`,
    values: [
      drafts.map((d) => d.userId),
      drafts.map((d) => d.id),
      updated.map(({ modseq }) => modseq),
      drafts.map((d) => d.grown),
      drafts.map((d) => JSON.stringify(d.data)),
      drafts.map((d) => arrayLiteral(d.actorIds)),
      drafts.map((d) => d.actorCount),
      drafts.map((d) => d.requestId),
      drafts.map((d) => d.followedActors),
      drafts.map((d) => d.priority),
      drafts.map((d) => d.silent),
      drafts.map((d) => (d.sent === noWords ? null : JSON.stringify(d.sent))),
      drafts.map((d) => types(d.type).retentionSeconds),
    ],
  })
}

export async function storeRemovals(client: pg.ClientBase, removed: Change[], because: string): Promise<void> {
  if (removed.length === 0) return
  const users = removed.map(({ draft }) => draft.userId)
  const ids = removed.map(({ draft }) => draft.id)
  const removal = client.query({
    name: 'remove_notifications',
    text: `delete from notify.notifications n using unnest($1::bigint[], $2::bigint[]) w (user_id, id)
           where n.user_id = w.user_id and n.id = w.id and n.user_id = any($1::bigint[])`,
    values: [users, ids],
  })
  const tombstones = client.query({
    name: 'leave_tombstones',
    text: `insert into notify.tombstones (user_id, modseq, id)
           select * from unnest($1::bigint[], $2::bigint[], $3::bigint[])`,
    values: [users, removed.map(({ modseq }) => modseq), ids],
  })
  const ended = endSources(
    client,
    removed.map(({ draft, modseq }) => ({ userId: draft.userId, id: draft.id, modseq })),
    because,
  )
  await together([removal, tombstones, ended])
}

/** Closing a group is not a change of its notification, because the user does not see it. */
export async function closeExpiredGroups(client: pg.ClientBase, groups: Draft[]): Promise<void> {
  if (groups.length === 0) return
  await client.query({
    name: 'close_expired_groups',
    text: `update notify.notifications n set closed_at = now()
           from unnest($1::bigint[], $2::bigint[]) w (user_id, id)
           where n.user_id = w.user_id and n.id = w.id and n.user_id = any($1::bigint[])`,
    values: [groups.map((g) => g.userId), groups.map((g) => g.id)],
  })
}

/** unnest would flatten an array of arrays, so the inner ones are literals. */
function arrayLiteral(ids: string[]): string {
  return `{${ids.join(',')}}`
}
