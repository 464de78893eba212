import { type Static, Type } from '@sinclair/typebox'
import type pg from 'pg'
import { timeOrNull } from '../../protocol/nullable.ts'
import { sourceOf, threadOf } from './broadcast.ts'

const number = (description: string) => Type.Unsafe<number | null>({ type: ['number', 'null'], description })

/** In people. `done` = stored + filtered + suppressed + failed + waiting. */
export const BroadcastProgress = Type.Object({
  total: Type.Unsafe<number | null>({
    type: ['integer', 'null'],
    description:
      'Recipients, counted at the beginning and again at the end; null: not begun, or too many to count in time',
  }),
  done: Type.Integer({ description: 'Recipients processed so far' }),
  stored: Type.Integer({ description: 'Shown in the inbox, silently too' }),
  filtered: Type.Integer({ description: 'Stored, but not in the app: for another channel only, or from a stranger' }),
  suppressed: Type.Integer({ description: 'Unwanted by a rule or preference, or expired' }),
  waiting: Type.Integer({ description: 'Their inbox was held; they follow within seconds' }),
  failed: Type.Integer({ description: 'Dead letters' }),
  recalled: Type.Integer({ description: 'Inboxes from which it was retracted' }),
  pushed: Type.Integer({ description: 'Sent to a device, of those still in inboxes' }),
  acknowledged: Type.Integer({ description: 'Received by a device, of those still in inboxes' }),
  read: Type.Integer({ description: 'Read, of those still in inboxes' }),
  rate: number('Recipients per second since it began or was resumed; null: not running'),
  eta: timeOrNull('Expected end'),
  countedAt: Type.String({
    format: 'date-time',
    description: 'Time at which pushed, acknowledged and read were counted',
  }),
})
export type BroadcastProgress = Static<typeof BroadcastProgress>

type Stored = Record<'done' | 'stored' | 'filtered' | 'suppressed' | 'late' | 'failed' | 'recalled', number> & {
  total: number | null
  rate: number | null
}

/** Exact in the snapshot of the read: every chunk adds what it decided, and those who were late are looked up one by one. */
export async function readBroadcastProgress(pool: pg.Pool, id: string): Promise<BroadcastProgress> {
  const { rows } = await pool.query<Stored>({
    name: 'progress_of_one_broadcast',
    text: `select b.total, b.done, b.stored + l.stored as stored, b.filtered + l.filtered as filtered,
             b.suppressed + l.suppressed as suppressed, l.late, l.failed, b.recalled,
             case when b.state = 'running' then (b.done - b.measured_done) / greatest(1, extract(epoch from now() - b.measured_from))::float8 end as rate
           from notify.broadcasts b
           cross join lateral (
             select count(*)::int as late, count(*) filter (where s.notified and s.decision <> 'filtered')::int as stored,
               count(*) filter (where s.decision = 'filtered')::int as filtered,
               count(*) filter (where not s.notified)::int as suppressed, count(p.dead_at)::int as failed
             from notify.broadcast_late t
             left join notify.sources s on s.user_id = t.recipient_id and s.source_id = $2
             left join notify.pending p on p.event_id = t.event_id and p.consumer = 'notifications' and s.user_id is null
             where t.broadcast_id = b.id
           ) l
           where b.id = $1`,
    values: [id, sourceOf({ id })],
  })
  const [stored] = rows
  if (!stored) throw new Error(`broadcast ${id} disappeared`)
  const { late, rate, total, done, failed, ...counts } = stored
  const decided = counts.stored + counts.filtered + counts.suppressed
  const left = total === null ? null : Math.max(0, total - done)
  return {
    total,
    done,
    ...counts,
    waiting: Math.max(0, done - decided - failed),
    failed,
    ...(await reached(pool, id)),
    rate,
    eta: rate !== null && rate > 0 && left !== null ? new Date(Date.now() + (1000 * left) / rate).toISOString() : null,
  }
}

type Reached = Pick<BroadcastProgress, 'pushed' | 'acknowledged' | 'read' | 'countedAt'>

/** Counting many may not take more than this share of the time, however often progress is read. */
const SHARE = 0.01
/** Fewer are counted each time. */
const MANY = 10_000
const counted = new Map<string, { reached: Reached; until: number }>()

async function reached(pool: pg.Pool, id: string): Promise<Reached> {
  const known = counted.get(id)
  if (known && known.until > performance.now()) return known.reached
  counted.delete(id)
  const startedAt = performance.now()
  const { rows } = await pool.query<Omit<Reached, 'countedAt'> & { counted: number }>({
    name: 'reached_by_broadcast',
    text: `select count(*)::int as counted, count(n.read_at)::int as read, count(n.delivered_at)::int as acknowledged,
             count(*) filter (where n.delivered_at is not null or exists (
               select from notify.delivery_log d
               where d.recipient_id = n.user_id and d.notification_id = n.id and d.event in ('pushed', 'acknowledged', 'sent')))::int as pushed
           from notify.notifications n where n.thread_key = $1`,
    values: [threadOf({ id })],
  })
  const [{ counted: people, ...found } = { counted: 0, pushed: 0, acknowledged: 0, read: 0 }] = rows
  const reached = { ...found, countedAt: new Date().toISOString() }
  const ms = performance.now() - startedAt
  if (people >= MANY) counted.set(id, { reached, until: performance.now() + Math.min(ms / SHARE, 60_000) })
  return reached
}
