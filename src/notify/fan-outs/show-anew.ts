import type pg from 'pg'
import { existingInboxes, lockInboxes } from '../dispatch/objects.ts'
import { readDrafts } from '../dispatch/read-drafts.ts'
import { storeFolded } from '../dispatch/store.ts'
import { type Kind, showing } from '../inbox/previews.ts'
import type { TypeLookup } from '../types/types.ts'
import { usersOfThread } from './remove-notifications.ts'
import { type Chunk, type ChunkResult, type FanOut, HELD_SECONDS, noteHeld } from './run.ts'

/**
 * Notifications per transaction, or those of one user if they are more, because any number of a user's read groups may show one
 * post.
 */
const NOTIFICATIONS_PER_CHUNK = 1000

/**
 * After an edit of the beginning of a post or comment, adds a change to each notification that shows it, so that
 * devices read the words again. Notifications committed later show the new words anyway. Held inboxes are noted in
 * `except_ids` and come last, so that nobody else waits for them.
 */
export function showAnewChunk(kind: Kind): Chunk {
  return async (client, fanOut, types) => {
    const users = await usersOfThread(client, fanOut)
    const last = users.at(-1)
    if (last === undefined) return showHeld(client, kind, fanOut, types)
    const shown = await usersShown(client, kind, fanOut, users)
    const taken = shown.filter(({ total }, index) => index === 0 || total <= NOTIFICATIONS_PER_CHUNK)
    const takenIds = taken.map(({ userId }) => userId)
    const held = await touch(client, kind, fanOut, types, takenIds)
    if (held.length > 0) await noteHeld(client, fanOut, [...fanOut.exceptIds, ...held])
    return { cursorUserId: taken.length < shown.length ? (takenIds.at(-1) ?? last) : last }
  }
}

async function showHeld(client: pg.ClientBase, kind: Kind, fanOut: FanOut, types: TypeLookup): Promise<ChunkResult> {
  const held = await touch(client, kind, fanOut, types, fanOut.exceptIds)
  if (held.length === 0) return 'finished'
  const isStuck = held.length === fanOut.exceptIds.length
  if (!isStuck) await noteHeld(client, fanOut, held)
  return { cursorUserId: fanOut.cursorUserId, afterSeconds: isStuck ? HELD_SECONDS : 0 }
}

type Shown = { userId: string; total: number }

/**
 * Finds the users whose notifications show the text, before any inbox is locked, because most notifications of a thread
 * do not show a given comment. `total`: notifications of this user and of the users before.
 */
async function usersShown(
  client: pg.ClientBase,
  kind: Kind,
  { objectId, threadKey }: FanOut,
  users: string[],
): Promise<Shown[]> {
  const { rows } = await client.query<Shown>({
    name: `users_shown_${kind}`,
    text: `select n.user_id as "userId", (sum(count(*)) over (order by n.user_id))::int as total from notify.notifications n
           where n.user_id = any($1::bigint[]) and ${conditionOf(kind)} group by n.user_id order by n.user_id`,
    values: [users, [objectId, threadKey]],
  })
  return rows
}

/** Returns the users whose inbox another transaction holds. */
async function touch(
  client: pg.ClientBase,
  kind: Kind,
  { objectId, threadKey }: FanOut,
  types: TypeLookup,
  users: string[],
): Promise<string[]> {
  if (users.length === 0) return []
  const inboxes = await lockInboxes(client, users, true)
  const free = [...inboxes.keys()]
  const drafts = await readDrafts(client, free, conditionOf(kind), [objectId, threadKey], Number.MAX_SAFE_INTEGER)
  for (const draft of drafts) draft.changed = true
  await storeFolded(client, types, inboxes, { drafts, expiredGroups: [], sources: [], windows: [] })
  const missing = users.filter((userId) => !inboxes.has(userId))
  return existingInboxes(client, missing)
}

/**
 * SQL condition over a notification `n`. `$2`: the id of the object and the thread. Excludes filtered notifications,
 * which are not in changes.
 */
function conditionOf(kind: Kind): string {
  return `n.thread_key = ($2::text[])[2] and not n.filtered and ${showing(kind, '($2::text[])[1]')}`
}
