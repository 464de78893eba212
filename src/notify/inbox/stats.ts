import { type Static, Type } from '@sinclair/typebox'
import type pg from 'pg'
import { conditions } from './list.ts'
import { inboxOf } from './lock.ts'

const Counts = Type.Record(Type.String(), Type.Integer(), { examples: [{ 'post.liked': 3 }] })

/** Numbers of notifications of a user. Filtered ones count only in `filtered`. */
export const Stats = Type.Object({
  total: Type.Integer({ description: 'With archived ones' }),
  byType: Counts,
  unreadByType: Counts,
  byPriority: Type.Record(Type.String(), Type.Integer(), { examples: [{ low: 3 }] }),
  byState: Type.Object({
    unread: Type.Integer(),
    read: Type.Integer(),
    unseen: Type.Integer({ description: 'Unread, and grown since the bell was last opened' }),
    pending: Type.Integer({ description: 'No device has acknowledged them' }),
    archived: Type.Integer(),
    filtered: Type.Integer({ description: 'Kept out of the list by the policy for strangers, and not archived' }),
  }),
})
export type Stats = Static<typeof Stats>

/**
 * Counts the notifications of a user. `unread`, `read`, `unseen` and `pending` cover the inbox only; `total`, types and
 * priorities include archived notifications.
 */
export async function readStats(pool: pg.Pool, userId: string): Promise<Stats> {
  const { rows } = await pool.query<StatsRow>({
    name: 'notification_stats',
    text: `select n.type, n.priority, n.filtered, count(*)::int as total,
             count(*) filter (where n.archived_at is not null)::int as archived,
             count(*) filter (where n.archived_at is null and n.read_at is null)::int as unread,
             count(*) filter (where n.archived_at is null and n.read_at is not null)::int as read,
             count(*) filter (where n.archived_at is null and n.read_at is null and n.grown_modseq > i.seen_modseq)::int as unseen,
             count(*) filter (where n.archived_at is null and n.delivered_at is null)::int as pending,
             count(*) filter (where ${conditions.filtered})::int as "keptOut"
           from ${inboxOf('$1')} join notify.notifications n on n.user_id = i.user_id
           where n.user_id = $1
           group by n.type, n.priority, n.filtered
           order by n.type, n.priority`,
    values: [userId],
  })
  const shown = rows.filter((row) => !row.filtered)
  return {
    total: sumOf(shown, 'total'),
    byType: totalsBy(shown, 'type'),
    unreadByType: totalsBy(shown, 'type', 'unread'),
    byPriority: totalsBy(shown, 'priority'),
    byState: {
      unread: sumOf(shown, 'unread'),
      read: sumOf(shown, 'read'),
      unseen: sumOf(shown, 'unseen'),
      pending: sumOf(shown, 'pending'),
      archived: sumOf(shown, 'archived'),
      filtered: sumOf(rows, 'keptOut'),
    },
  }
}

type StateCount = 'total' | 'archived' | 'unread' | 'read' | 'unseen' | 'pending' | 'keptOut'
type StatsRow = { type: string; priority: string; filtered: boolean } & Record<StateCount, number>

function sumOf(rows: StatsRow[], count: StateCount): number {
  return rows.reduce((sum, row) => sum + row[count], 0)
}

function totalsBy(rows: StatsRow[], key: 'type' | 'priority', count: StateCount = 'total'): Record<string, number> {
  const groups = Map.groupBy(rows, (row) => row[key])
  return Object.fromEntries([...groups].map(([name, ofName]) => [name, sumOf(ofName, count)]))
}
