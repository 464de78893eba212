import { columns } from '../../db/columns.ts'
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
