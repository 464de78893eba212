import type pg from 'pg'
import { existingInboxes, lockInboxes } from '../dispatch/objects.ts'
import { readDrafts } from '../dispatch/read-drafts.ts'
import { storeRemoved } from '../dispatch/store.ts'
import type { TypeLookup } from '../types/types.ts'
import type { FanOut } from './run.ts'

/** Maximum number of inboxes locked at once. A chunk takes some tens of milliseconds, so no lane waits long. */
const USERS_PER_CHUNK = 500
/**
 * Maximum number of notifications removed at once. A user may have any number in one thread, because each mention is a
 * separate one.
 */
const NOTIFICATIONS_PER_CHUNK = 1000

/** The next users after the cursor who have notifications of the thread, in the lock order of inboxes. */
export async function usersOfThread(
  client: pg.ClientBase,
  { threadKey, cursorUserId }: Pick<FanOut, 'threadKey' | 'cursorUserId'>,
): Promise<string[]> {
  const { rows } = await client.query<{ userId: string }>({
    name: 'users_of_thread',
    text: `select distinct user_id as "userId" from notify.notifications
           where thread_key = $1 and user_id > $2 order by user_id limit ${USERS_PER_CHUNK}`,
    values: [threadKey, cursorUserId],
  })
  return rows.map((row) => row.userId)
}

/** `removed`: number of notifications. `held`: users whose inbox another transaction holds; theirs were skipped. */
export type Removal = { removed: number; held: string[] }

/**
 * Removes the notifications of these users that meet `condition` over `n` with `value` as $2. This is an ordinary
 * change of each inbox, with tombstones, counts and a hint to the push nodes. The sources stay, with `because` as their
 * decision. Skips held inboxes, so that nobody else waits for them.
 * Removes at most a chunk, by user. Repeat until it removes nothing.
 */
export async function removeNotifications(
  client: pg.ClientBase,
  types: TypeLookup,
  users: string[],
  condition: string,
  value: unknown,
  because: string,
): Promise<Removal> {
  const inboxes = await lockInboxes(client, users, true)
  const drafts = await readDrafts(client, [...inboxes.keys()], condition, value, NOTIFICATIONS_PER_CHUNK)
  await storeRemoved(client, types, inboxes, drafts, because)
  const missing = users.filter((userId) => !inboxes.has(userId))
  return { removed: drafts.length, held: await existingInboxes(client, missing) }
}
