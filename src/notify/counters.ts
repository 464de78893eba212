import type pg from 'pg'
import { COUNTS_CHANNEL, encodeChangedContent } from '../base/wake-ups.ts'
import { notify } from '../db/listener.ts'
import { type Sent, together } from '../db/transaction.ts'
import { type Actions, type Counter, counters } from './actions.ts'
import type { Consumer, OnBusy } from './outbox/consume.ts'
import type { OutboxEvent } from './outbox/event.ts'

/** Sums that a batch adds to each counter of each row. Zero sums are not written. */
type Deltas = Map<string, Map<string, number>>

const tables = ['posts', 'comments', 'users'] as const
type Table = (typeof tables)[number]
const tableOf = new Map<Counter, Table>(counters.map(({ table, column }) => [column, table]))

/**
 * The consumer `counters`: adds a batch's counted events to the counters of posts, comments and users, in the
 * transaction that moves the position. No request writes these columns, so no row is hot in a user's transaction.
 * Returns the events that count on a row that another transaction holds (only with `set aside`).
 */
export function countWith(actions: Actions): Consumer {
  return (client, events, onBusy) => foldCounters(client, actions, events, onBusy)
}

async function foldCounters(
  client: pg.ClientBase,
  actions: Actions,
  events: OutboxEvent[],
  onBusy: OnBusy,
): Promise<OutboxEvent[]> {
  const counts = new Map(events.filter((event) => event.counted).map((event) => [event, actions.countersOf(event)]))
  const rowsOf = (event: OutboxEvent) => (counts.get(event) ?? []).map(([column, id]) => `${tableOf.get(column)} ${id}`)
  const held = onBusy === 'set aside' ? await findHeld(client, new Set(events.flatMap(rowsOf))) : new Set<string>()
  const waits = (event: OutboxEvent) => rowsOf(event).some((row) => held.has(row))
  const deltas = sumDeltas([...counts].filter(([event]) => held.size === 0 || !waits(event)))
  const folded: Sent<void>[] = tables.map((table) => foldTable(client, table, deltas))
  await together([...folded, notifyWatchers(client, deltas)])
  return held.size > 0 ? events.filter(waits) : []
}

/**
 * Locks the free ones of these rows (such as `posts 9`). Returns the existing rows that other transactions have locked.
 */
async function findHeld(client: pg.ClientBase, rows: Set<string>): Promise<Set<string>> {
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

function sumDeltas(counts: [OutboxEvent, [Counter, string][]][]): Deltas {
  const deltas: Deltas = new Map(counters.map(({ column }) => [column, new Map()]))
  for (const [event, moved] of counts)
    for (const [column, id] of moved) {
      const sums = deltas.get(column)
      sums?.set(id, (sums.get(id) ?? 0) + (event.retracts ? -1 : 1))
    }
  return deltas
}

/**
 * Updates the rows in the order of their ids. Locks none beforehand: only this lane updates counters, and deletions, which
 * lock several of these rows too, use the same order. After a deadlock, the lane would repeat the batch.
 */
async function foldTable(client: pg.ClientBase, table: Table, deltas: Deltas): Promise<void> {
  const columns = counters.filter((counter) => counter.table === table).map(({ column }) => column)
  const sums = columns.map((column) => deltas.get(column) ?? new Map<string, number>())
  const ids = [...new Set(sums.flatMap((sum) => [...sum].filter(([, by]) => by !== 0).map(([id]) => id)))]
  if (ids.length === 0) return
  ids.sort((a, b) => Number(a) - Number(b))
  const params = columns.map((_, index) => `$${index + 2}::int[]`)
  await client.query({
    name: `fold_${table}`,
    text: `update social.${table} t set ${columns.map((column) => `${column} = t.${column} + w.${column}`).join(', ')}
           from unnest($1::bigint[], ${params.join(', ')}) w (id, ${columns.join(', ')})
           where t.id = w.id`,
    values: [ids, ...sums.map((sum) => ids.map((id) => sum.get(id) ?? 0))],
  })
}

async function notifyWatchers(client: pg.ClientBase, deltas: Deltas): Promise<void> {
  const rowsOf = (column: Counter) => [...(deltas.get(column)?.keys() ?? [])]
  const comments = rowsOf('comment_count')
  const counts = [...new Set([...rowsOf('like_count'), ...comments])]
  const feeds = rowsOf('post_count').length > 0
  await notify(client, COUNTS_CHANNEL, encodeChangedContent({ counts, comments, feeds }))
}
