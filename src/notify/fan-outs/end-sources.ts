import type pg from 'pg'
import { columns } from '../../db/columns.ts'
import type { ChunkResult, FanOut } from './run.ts'

const TOMBSTONES_PER_CHUNK = 500

/**
 * Ends the sources of large removed groups, tombstone by tombstone. Nobody waits for it, and it locks no inbox: all
 * other code treats these sources as ended already. A source that an event writes at this moment is left to that event.
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

/**
 * Maximum number of sources that one statement writes. A group may have any number: fan-outs end the rest of a removed
 * one. A live source whose notification no longer exists counts as ended already (see `toSource` in load.ts).
 */
export const SOURCES_PER_CHUNK = 5000

type Removed = { userId: string; id: number | string; modseq: number | string }

/**
 * Ends the sources of removed notifications, with `because` as their decision. Fan-outs end those beyond a chunk.
 * Requires locked inboxes.
 */
export async function endSources(client: pg.ClientBase, removed: Removed[], because: string): Promise<void> {
  await client.query({
    name: 'end_sources_of_removed',
    text: `with counted as materialized (
             select w.user_id, w.id, w.modseq, k.sources, sum(k.sources) over (order by w.place) <= ${SOURCES_PER_CHUNK} as fits
             from ${ended.from}
             cross join lateral (
               select count(*) as sources from (
                 select from notify.sources s where s.user_id = w.user_id and s.notification_id = w.id and s.live limit ${SOURCES_PER_CHUNK + 1}) s) k
           ), ended as (
             update notify.sources s set live = false, decision = ${ended.next}, decided_at = now()
             from counted w
             where s.user_id = w.user_id and s.notification_id = w.id and s.live and w.fits and s.user_id = any($1::bigint[])
           )
           ${fanOut}
           select 'end_sources', user_id, min(modseq) - 1 from counted where not fits and sources > 0 group by user_id order by user_id
           ${goesBack}`,
    values: [...ended.values(removed), because],
  })
}

const ended = columns<Removed>(
  {
    user_id: ['bigint', ({ userId }) => userId],
    id: ['bigint', ({ id }) => id],
    modseq: ['bigint', ({ modseq }) => modseq],
  },
  { place: 'place' },
)

/** Starts a fan-out for the sources of everything removed from an inbox after this modseq. */
export async function endSourcesAfter(client: pg.ClientBase, userId: string, modseq: number): Promise<void> {
  await client.query({
    name: 'end_sources_after',
    text: `${fanOut} values ('end_sources', $1, $2) ${goesBack}`,
    values: [userId, modseq],
  })
}

const fanOut = 'insert into notify.fan_outs (kind, object_id, cursor_user_id)'

/**
 * SQL that restarts a running fan-out at the first of these tombstones. The statement may wait for the fan-out's chunk,
 * which waits for no inbox.
 */
const goesBack = `
  on conflict on constraint fan_out_once do update
  set cursor_user_id = case when fan_outs.finished_at is null then least(fan_outs.cursor_user_id, excluded.cursor_user_id) else excluded.cursor_user_id end,
    finished_at = null, due_at = now()`
