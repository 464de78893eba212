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

/** Windows as rows `w`, and the sources that wait in them as `s`. `keys(windows)` gives the parameters. */
export const asRows = 'unnest($1::bigint[], $2::text[], $3::text[]) with ordinality w (u, g, f, place)'
export const waiting = 'join notify.sources s on s.user_id = w.u and s.waits_for = w.g and s.waits_filter = w.f'

export function keys(windows: Pick<Window, 'userId' | 'groupKey' | 'filterReason'>[]) {
  return [windows.map((w) => w.userId), windows.map((w) => w.groupKey), windows.map((w) => w.filterReason ?? 'none')]
}

/** The post and, for replies, the comment they answer. */
export function objectsOfWindow({ threadKey, objectType, objectId }: Window): string[] {
  return [...(threadKey === null ? [] : [threadKey]), ...(objectType === 'comment' ? [`comment:${objectId}`] : [])]
}
