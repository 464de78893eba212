import type pg from 'pg'
import { hiddenIds } from '../../db/columns.ts'
import { type Sent, together } from '../../db/transaction.ts'
import { inboxOf } from '../inbox/lock.ts'
import { someTakesChanges } from '../webhooks/queue.ts'
import type { Inbox } from './model.ts'

/**
 * Columns of an `Inbox`, except `hasTakers`. The times are exact in milliseconds, because `extract` returns a numeric.
 */
export const inboxColumns = `user_id as "userId", version, modseq::float8 as modseq, unread_count as unread, unseen_count as unseen,
  seen_modseq::float8 as "seenModseq",
  (1000 * extract(epoch from greatest(grown_at, date_trunc('milliseconds', now()) - interval '1 ms')))::float8 as "grownAt", has_preferences as "hasPreferences", reachable_by as "reachableBy"`

/** Locks the inboxes of these users in the order of their ids. Omits those that do not exist. */
export async function lockInboxes(
  client: pg.ClientBase,
  userIds: string[],
  skipLocked: boolean,
): Promise<Map<string, Inbox>> {
  const { rows } = await client.query<Inbox>({
    name: skipLocked ? 'lock_free_inboxes' : 'lock_inboxes',
    text: `select ${inboxColumns}, ${someTakesChanges} as "hasTakers"
           from (select id from unnest(${hiddenIds('$1')}) w (id) order by id) w
           cross join ${inboxOf('w.id', skipLocked ? 'for update skip locked' : 'for update')}`,
    values: [userIds],
  })
  return new Map(rows.map((row) => [row.userId, row]))
}

/** Returns the users among these who have an inbox. */
export async function existingInboxes(client: pg.ClientBase, userIds: string[]): Promise<string[]> {
  if (userIds.length === 0) return []
  const { rows } = await client.query<{ userId: string }>({
    name: 'existing_inboxes',
    text: 'select user_id as "userId" from notify.inbox where user_id = any($1::bigint[])',
    values: [userIds],
  })
  return rows.map(({ userId }) => userId)
}

/**
 * Returns the objects among these (`post:9`, `comment:7`) that are deleted or missing. Locks the others `for key
 * share`, so that a deletion either waits for this transaction, and retracts what it wrote, or is visible here.
 */
export async function lockObjects(client: pg.ClientBase, objects: Set<string>): Promise<Set<string>> {
  const gone = new Set(objects)
  const sent: Sent<void>[] = (['post', 'comment'] as const).map(async (table) => {
    const ids = [...objects].filter((key) => key.startsWith(`${table}:`)).map((key) => key.slice(table.length + 1))
    if (ids.length === 0) return
    const { rows } = await client.query<{ id: string }>({
      name: `existing_${table}s`,
      text: `select id from social.${table}s where id = any(${hiddenIds('$1')}) and deleted_at is null order by id for key share`,
      values: [ids],
    })
    for (const { id } of rows) gone.delete(`${table}:${id}`)
  })
  await together(sent)
  return gone
}

/**
 * Like `lockObjects`, but does not wait. `held`: objects on which another transaction holds a conflicting lock, usually
 * a deletion.
 */
export async function lockFreeObjects(
  client: pg.ClientBase,
  objects: Set<string>,
): Promise<{ gone: Set<string>; held: Set<string> }> {
  const gone = new Set(objects)
  const held = new Set<string>()
  for (const table of ['post', 'comment'] as const) {
    const ids = [...objects].filter((key) => key.startsWith(`${table}:`)).map((key) => key.slice(table.length + 1))
    if (ids.length === 0) continue
    const { rows } = await client.query<{ id: string; free: boolean }>({
      name: `free_${table}s`,
      text: `with free as materialized (
               select id from social.${table}s where id = any($1::bigint[]) and deleted_at is null order by id for key share skip locked
             )
             select id, id in (select id from free) as free from social.${table}s where id = any($1::bigint[]) and deleted_at is null`,
      values: [ids],
    })
    for (const { id, free } of rows) {
      gone.delete(`${table}:${id}`)
      if (!free) held.add(`${table}:${id}`)
    }
  }
  return { gone, held }
}
