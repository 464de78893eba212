import type pg from 'pg'
import { lockInboxes } from '../dispatch/objects.ts'
import { readDrafts } from '../dispatch/read-drafts.ts'
import { storeFolded } from '../dispatch/store.ts'
import { type Kind, showing } from '../inbox/previews.ts'
import type { TypeLookup } from '../types/types.ts'
import { usersOfThread } from './remove-notifications.ts'
import type { Chunk, FanOut } from './run.ts'

/** Inboxes are locked for so many changes at once, or for those of one user: one read group of likes after another may show a post. */
const NOTIFICATIONS_PER_CHUNK = 1000

/**
 * After the beginning of a post or comment was edited: a change, and nothing else, of each notification that shows it, so that
 * devices read the words again. A notification that is committed later is read with the new words anyway.
 */
export function showAnewChunk(kind: Kind): Chunk {
  return async (client, fanOut, types) => {
    const users = await usersOfThread(client, fanOut)
    const last = users.at(-1)
    if (last === undefined) return 'finished'
    const shown = await usersShown(client, kind, fanOut, users)
    const taken = shown.filter(({ total }, index) => index === 0 || total <= NOTIFICATIONS_PER_CHUNK)
    const takenIds = taken.map(({ userId }) => userId)
    await touch(client, kind, fanOut, types, takenIds)
    return { cursorUserId: taken.length < shown.length ? (takenIds.at(-1) ?? last) : last }
  }
}

type Shown = { userId: string; total: number }

/**
 * Read before any inbox is locked: most users of a thread are not shown a certain comment of it. `total`: notifications of this user
 * and those before.
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

async function touch(
  client: pg.ClientBase,
  kind: Kind,
  { objectId, threadKey }: FanOut,
  types: TypeLookup,
  users: string[],
): Promise<void> {
  if (users.length === 0) return
  const inboxes = await lockInboxes(client, users, false)
  const drafts = await readDrafts(client, users, conditionOf(kind), [objectId, threadKey], Number.MAX_SAFE_INTEGER)
  for (const draft of drafts) draft.changed = true
  await storeFolded(client, types, inboxes, { drafts, expiredGroups: [], sources: [], windows: [] })
}

/** Over `n`; `$2` holds the id of the object and the thread. What is filtered is in no changes. */
function conditionOf(kind: Kind): string {
  return `n.thread_key = ($2::text[])[2] and not n.filtered and ${showing(kind, '($2::text[])[1]')}`
}
