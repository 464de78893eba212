import type pg from 'pg'
import { columns } from '../../db/columns.ts'
import type { Draft, OpenWindow } from '../dispatch/model.ts'
import type { FilterReason } from '../rules/decide.ts'

/** A row of notify.windows: a group that gathers, separate for each filter reason. */
export type Window = {
  userId: string
  groupKey: string
  filterReason: FilterReason | null
  type: string
  objectType: string | null
  objectId: string | null
  threadKey: string | null
  data: Record<string, unknown>
}

/** Columns of a row `x` of notify.windows. */
export const windowColumns = `x.user_id as "userId", x.group_key as "groupKey", nullif(x.filter, 'none') as "filterReason", x.type, x.object_type as "objectType",
  x.object_id as "objectId", x.thread_key as "threadKey", x.data`

/** The key of a window, as columns of a statement. `windowOf`: the window that an item is about. */
export function keyColumns<Item>(windowOf: (item: Item) => WindowKey) {
  return {
    user_id: ['bigint', (item: Item) => windowOf(item).userId],
    group_key: ['text', (item: Item) => windowOf(item).groupKey],
    filter: ['text', (item: Item) => windowOf(item).filterReason ?? 'none'],
  } as const
}

type WindowKey = Pick<Window, 'userId' | 'groupKey' | 'filterReason'>

/** SQL fragments: windows as rows `w`, and a join of their waiting sources `s`. */
export const keyed = columns<WindowKey>(
  keyColumns((window: WindowKey) => window),
  { place: 'place' },
)
export const waiting =
  'join notify.sources s on s.user_id = w.user_id and s.waits_for = w.group_key and s.waits_filter = w.filter'

/** The post and, for replies, the comment they answer. */
export function objectsOfWindow({ threadKey, objectType, objectId }: Window): string[] {
  return [...(threadKey === null ? [] : [threadKey]), ...(objectType === 'comment' ? [`comment:${objectId}`] : [])]
}

/** Opens windows, with jitter so that they do not all end at once. An open window keeps its end. */
export async function openWindows(client: pg.ClientBase, windows: OpenWindow[]): Promise<void> {
  if (windows.length === 0) return
  await client.query({
    name: 'open_windows',
    text: `insert into notify.windows (user_id, group_key, filter, type, object_type, object_id, thread_key, data, due_at)
           select user_id, group_key, filter, type, object_type, object_id, thread_key, data,
             now() + make_interval(secs => lasts * (1 - jitter + 2 * jitter * random()))
           from ${opened.from}
           on conflict (user_id, group_key, filter) do update set data = excluded.data`,
    values: opened.values(windows),
  })
}

const opened = columns<OpenWindow>({
  ...keyColumns((window: OpenWindow) => window),
  type: ['text', (window) => window.type.type],
  object_type: ['text', (window) => window.objectType],
  object_id: ['text', (window) => window.objectId],
  thread_key: ['text', (window) => window.threadKey],
  data: ['jsonb', (window) => JSON.stringify(window.data)],
  lasts: ['float8', (window) => window.type.windowSeconds],
  jitter: ['float8', (window) => window.type.jitter],
})

/**
 * Shows the people who wait at once when everyone shown has retracted. This includes people who came and went in one
 * batch, whom nobody saw.
 */
export async function hurryWindows(client: pg.ClientBase, drafts: Draft[]): Promise<void> {
  const groups = drafts.filter((draft) => draft.removed && draft.groupKey !== null)
  if (groups.length === 0) return
  await client.query({
    name: 'hurry_windows',
    text: `update notify.windows x set due_at = now()
           from ${hurried.from}
           where x.user_id = w.user_id and x.group_key = w.group_key and x.filter = w.filter and x.due_at > now()
             and x.user_id = any($1::bigint[])`,
    values: hurried.values(groups),
  })
}

const hurried = columns<Draft>({
  user_id: ['bigint', (draft) => draft.userId],
  group_key: ['text', (draft) => draft.groupKey],
  filter: ['text', (draft) => draft.filterReason ?? 'none'],
})
