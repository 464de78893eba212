import type pg from 'pg'
import { SOURCES_PER_CHUNK } from '../dispatch/end-sources.ts'
import type { ChunkResult, FanOut } from './run.ts'

const TOMBSTONES_PER_CHUNK = 500

/**
 * After large groups were removed: ends their sources, tombstone by tombstone. Nobody waits for it, and it locks no inbox:
 * to all others these sources are ended already. A source that an event writes at this moment is left to that event.
 */
export async function endSourcesChunk(client: pg.ClientBase, fanOut: FanOut): Promise<ChunkResult> {
  const tombstones = await nextTombstones(client, fanOut)
  const last = tombstones.at(-1)
  if (!last) return 'finished'
  const sources = await lockSources(
    client,
    fanOut.objectId,
    tombstones.map(({ id }) => id),
  )
  await client.query({
    name: 'end_sources',
    text: `update notify.sources set live = false, decision = 'removed', decided_at = now()
           where user_id = $1 and source_id = any($2::text[])`,
    values: [fanOut.objectId, sources],
  })
  if (sources.length === SOURCES_PER_CHUNK) return { cursorUserId: fanOut.cursorUserId }
  return tombstones.length < TOMBSTONES_PER_CHUNK ? 'finished' : { cursorUserId: last.modseq }
}

async function nextTombstones(
  client: pg.ClientBase,
  { objectId, cursorUserId }: FanOut,
): Promise<{ modseq: string; id: string }[]> {
  const { rows } = await client.query<{ modseq: string; id: string }>({
    name: 'next_tombstones',
    text: `select modseq, id from notify.tombstones where user_id = $1 and modseq > $2 order by modseq limit ${TOMBSTONES_PER_CHUNK}`,
    values: [objectId, cursorUserId],
  })
  return rows
}

async function lockSources(client: pg.ClientBase, userId: string, notificationIds: string[]): Promise<string[]> {
  const { rows } = await client.query<{ sourceId: string }>({
    name: 'lock_sources_of_removed',
    text: `select source_id as "sourceId" from notify.sources
           where user_id = $1 and notification_id = any($2::bigint[]) and live limit ${SOURCES_PER_CHUNK} for update skip locked`,
    values: [userId, notificationIds],
  })
  return rows.map((row) => row.sourceId)
}
