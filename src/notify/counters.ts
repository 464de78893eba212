import type pg from 'pg'
import { EventContentError } from '../base/failure.ts'
import { COUNTS_CHANNEL } from '../base/wake-ups.ts'
import { notify } from '../db/notify.ts'
import { together } from '../db/transaction.ts'
import type { OnBusy } from './outbox/consume.ts'
import type { OutboxEvent } from './outbox/event.ts'

/** What a batch adds to which counter of which row; only sums that are not zero are written. */
type Deltas = Map<string, Map<string, number>>

/** The counters in the order their tables are locked: posts before comments before users, rows by id. */
const counters = [
  { table: 'posts', column: 'like_count' },
  { table: 'posts', column: 'comment_count' },
  { table: 'comments', column: 'reply_count' },
  { table: 'users', column: 'follower_count' },
  { table: 'users', column: 'following_count' },
  { table: 'users', column: 'post_count' },
] as const
type Column = (typeof counters)[number]['column']

const tables = ['posts', 'comments', 'users'] as const
type Table = (typeof tables)[number]
const tableOf = new Map(counters.map(({ table, column }) => [column, table]))

/**
 * The consumer `counters`: adds a batch's counted events to the counters of posts, comments and users, inside the
 * transaction that moves the position. No request ever writes these columns, so no row is hot in a user's transaction.
 * Returns the events that count on a row which somebody else holds (only with `set aside`).
 */
export async function foldCounters(
  client: pg.ClientBase,
  events: OutboxEvent[],
  onBusy: OnBusy,
): Promise<OutboxEvent[]> {
  const held = onBusy === 'set aside' ? await findHeld(client, events) : new Set<string>()
  const waits = (event: OutboxEvent) => rowsOf(event).some((row) => held.has(row))
  const deltas = sumDeltas(held.size > 0 ? events.filter((event) => !waits(event)) : events)
  const posts = new Set([...(deltas.get('like_count')?.keys() ?? []), ...(deltas.get('comment_count')?.keys() ?? [])])
  const folded = tables.map((table) => foldTable(client, table, deltas))
  await together([...folded, notifyWatchers(client, [...posts])])
  return held.size > 0 ? events.filter(waits) : []
}

/** The rows an event counts on, as `posts 9`. */
function rowsOf(event: OutboxEvent): string[] {
  return event.counted ? countersOf(event).map(([column, id]) => `${tableOf.get(column)} ${id}`) : []
}

/** Locks the rows that these events count on and nobody holds; returns the others that exist. */
async function findHeld(client: pg.ClientBase, events: OutboxEvent[]): Promise<Set<string>> {
  const rows = new Set(events.flatMap(rowsOf))
  const held = new Set<string>()
  for (const table of tables) {
    const ids = [...rows].filter((row) => row.startsWith(`${table} `)).map((row) => row.slice(table.length + 1))
    if (ids.length === 0) continue
    const found = await client.query<{ id: string }>({
      name: `held_${table}`,
      text: `with free as materialized (
               select id from social.${table} where id = any($1::bigint[]) order by id for no key update skip locked
             )
             select id from social.${table} where id = any($1::bigint[]) and id not in (select id from free)`,
      values: [ids],
    })
    for (const { id } of found.rows) held.add(`${table} ${id}`)
  }
  return held
}

/** @throws {EventContentError} when an event does not say what it counts */
function sumDeltas(events: OutboxEvent[]): Deltas {
  const deltas: Deltas = new Map(counters.map(({ column }) => [column, new Map()]))
  for (const event of events) {
    if (!event.counted) continue
    for (const [column, id] of countersOf(event)) {
      const sums = deltas.get(column)
      sums?.set(id, (sums.get(id) ?? 0) + (event.retracts ? -1 : 1))
    }
  }
  return deltas
}

function countersOf(event: OutboxEvent): [Column, string][] {
  const { postId, parentId, followeeId } = event.data
  switch (event.action) {
    case 'like':
      return [['like_count', idIn(event, postId)]]
    case 'comment': {
      const replies: [Column, string][] = parentId == null ? [] : [['reply_count', idIn(event, parentId)]]
      return [['comment_count', idIn(event, postId)], ...replies]
    }
    case 'follow':
      return [
        ['follower_count', idIn(event, followeeId)],
        ['following_count', idIn(event, event.actorId)],
      ]
    case 'post':
      return [['post_count', idIn(event, event.actorId)]]
    default:
      return []
  }
}

function idIn(event: OutboxEvent, value: unknown): string {
  if (typeof value === 'string' && /^\d{1,18}$/.test(value)) return value
  throw new EventContentError(`event ${event.id} (${event.sourceId}) does not name the row it counts on`)
}

async function foldTable(client: pg.ClientBase, table: Table, deltas: Deltas): Promise<void> {
  const columns = counters.filter((counter) => counter.table === table).map(({ column }) => column)
  const sums = columns.map((column) => deltas.get(column) ?? new Map<string, number>())
  const ids = [...new Set(sums.flatMap((sum) => [...sum].filter(([, by]) => by !== 0).map(([id]) => id)))]
  if (ids.length === 0) return
  const locked = client.query({
    name: `lock_counted_${table}`,
    text: `select id from social.${table} where id = any($1::bigint[]) order by id for no key update`,
    values: [ids],
  })
  const params = columns.map((_, index) => `$${index + 2}::int[]`)
  const added = client.query({
    name: `fold_${table}`,
    text: `update social.${table} t set ${columns.map((column) => `${column} = t.${column} + w.${column}`).join(', ')}
           from unnest($1::bigint[], ${params.join(', ')}) w (id, ${columns.join(', ')})
           where t.id = w.id`,
    values: [ids, ...sums.map((sum) => ids.map((id) => sum.get(id) ?? 0))],
  })
  await together([locked, added])
}

/** A NOTIFY payload must stay below 8,000 bytes: 400 ids of at most 19 digits do. */
const IDS_PER_PAYLOAD = 400

async function notifyWatchers(client: pg.ClientBase, postIds: string[]): Promise<void> {
  const payloads: string[] = []
  for (let i = 0; i < postIds.length; i += IDS_PER_PAYLOAD)
    payloads.push(postIds.slice(i, i + IDS_PER_PAYLOAD).join(','))
  await notify(client, COUNTS_CHANNEL, payloads)
}
