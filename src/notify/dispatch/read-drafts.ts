import type pg from 'pg'
import { columns, hiddenIds, oneByOne } from '../../db/columns.ts'
import { type Draft, keyOfGroup, noWords } from './model.ts'

type GroupKey = { userId: string; groupKey: string }

const asked = columns<GroupKey>(
  {
    user_id: ['bigint', (group) => group.userId],
    group_key: ['text', (group) => group.groupKey],
  },
  { hidden: true },
)

/** The open groups of these users and keys, shown and filtered ones, by `keyOfGroup`. */
export async function readOpenGroups(
  client: pg.ClientBase,
  groups: GroupKey[],
  stored = new Map<string, Draft>(),
): Promise<Map<string, Draft>> {
  if (groups.length === 0) return new Map()
  const { rows } = await client.query<DraftRow>({
    name: 'open_groups_of_batch',
    text: `select ${draftColumns}
           from (select distinct user_id, group_key from ${asked.from}) w
           ${oneByOne('notify.notifications n where n.user_id = w.user_id and n.group_key = w.group_key and n.closed_at is null', 'n')}
           where n.user_id = any(${hiddenIds('$1')})`,
    values: asked.values(groups),
  })
  return new Map(rows.map((row) => [keyOfGroup({ ...row, groupKey: String(row.groupKey) }), toDraft(row, stored)]))
}

type NotificationKey = { userId: string; notificationId: number | null }

const containing = columns<NotificationKey>(
  {
    user_id: ['bigint', (row) => row.userId],
    id: ['bigint', (row) => row.notificationId],
  },
  { hidden: true },
)

/** Reads the notifications that contain these sources into the map `stored`, whose keys are `user id`. */
export async function readNotifications(
  client: pg.ClientBase,
  users: string[],
  sources: NotificationKey[],
  stored: Map<string, Draft>,
): Promise<void> {
  const wanted = sources.filter(
    (row) => row.notificationId !== null && !stored.has(`${row.userId} ${row.notificationId}`),
  )
  if (wanted.length === 0) return
  const { rows } = await client.query<DraftRow>({
    name: 'notifications_of_batch',
    text: `select ${draftColumns}
           from (select distinct user_id, id from ${containing.from}) w
           ${oneByOne('notify.notifications n where n.user_id = w.user_id and n.id = w.id', 'n')}
           where n.user_id = any(${hiddenIds(containing.next)})`,
    values: [...containing.values(wanted), users],
  })
  for (const row of rows) toDraft(row, stored)
}

/**
 * The notifications of these users that meet `condition` over `n`, with `value` as $2, at most `limit`. Requires locked
 * inboxes.
 */
export async function readDrafts(
  client: pg.ClientBase,
  users: string[],
  condition: string,
  value: unknown,
  limit: number,
): Promise<Draft[]> {
  const { rows } = await client.query<DraftRow>(
    // Limits before sorting: with a limit on an ordered query, the planner may walk whole inboxes in that order.
    `select ${draftColumns}
     from (select n.* from notify.notifications n where n.user_id = any($1::bigint[]) and ${condition} limit ${limit}) n
     order by n.user_id, n.modseq`,
    [users, value],
  )
  return rows.map((row) => toDraft(row, new Map()))
}

const draftColumns = `n.user_id as "userId", n.id::float8 as id, n.grown_modseq::float8 as "grownModseq", 0 as "grownAt", n.type, n.priority,
  n.group_key as "groupKey", n.thread_key as "threadKey", n.object_type as "objectType", n.object_id as "objectId", n.data,
  n.silent, n.filter_reason as "filterReason",
  n.actor_ids::text[] as "actorIds", n.followed_actors as "followedActors", n.actor_count as "actorCount", n.read_at is not null as read,
  n.archived_at is not null as archived, n.filtered, n.closed_at is null and n.created_at > now() - interval '24 hours' as open,
  n.closed_at is null and n.created_at <= now() - interval '24 hours' as "expiredGroup"`

type DraftRow = Omit<
  Draft,
  | 'sent'
  | 'ownPreferences'
  | 'channels'
  | 'requestId'
  | 'liveSources'
  | 'changed'
  | 'grown'
  | 'removed'
  | 'actorsIncomplete'
  | 'commentUnknown'
>

function toDraft(row: DraftRow, stored: Map<string, Draft>): Draft {
  const key = `${row.userId} ${row.id}`
  const draft = stored.get(key) ?? {
    ...row,
    requestId: null,
    sent: noWords,
    ownPreferences: undefined,
    channels: null,
    liveSources: new Map(),
    changed: false,
    grown: false,
    removed: false,
    actorsIncomplete: false,
    commentUnknown: false,
  }
  stored.set(key, draft)
  return draft
}
