import type pg from 'pg'
import { forget, forgetComment, removeActor } from '../../notify/dispatch/actors.ts'
import { type Draft, NOBODY } from '../../notify/dispatch/model.ts'
import { lockInboxes } from '../../notify/dispatch/objects.ts'
import { readDrafts } from '../../notify/dispatch/read-drafts.ts'
import { storeFolded } from '../../notify/dispatch/store.ts'
import { SOURCES_PER_CHUNK } from '../../notify/fan-outs/end-sources.ts'
import { afterHeld, type Chunk, type ChunkResult, type FanOut } from '../../notify/fan-outs/run.ts'
import type { TypeLookup } from '../../notify/types/types.ts'

/** Notifications per chunk. Each costs one index lookup. */
const NOTIFICATIONS_PER_CHUNK = 1000

/**
 * After a block, takes back what the blocked user did to the blocker, as if each source were retracted. Sources waiting
 * in windows come first, then notifications from the newest. Events after `upTo` are later than the block. The rules
 * suppress them, or they count because the block has ended.
 */
export const retractActorChunk: Chunk = (client, fanOut, types) => retractActor(client, fanOut, types, 'skip')

/** The same for a request, which waits for a held inbox up to a second, so that its answer comes after the removal. */
export const retractActorAtOnce: Chunk = (client, fanOut, types) => retractActor(client, fanOut, types, 'wait')

async function retractActor(
  client: pg.ClientBase,
  fanOut: FanOut,
  types: TypeLookup,
  onBusy: 'wait' | 'skip',
): Promise<ChunkResult> {
  const { objectId: userId, actorId, cursorUserId } = fanOut
  const inboxes = await lockInboxes(client, [userId], onBusy === 'skip')
  if (inboxes.size === 0) return afterHeld(client, userId, cursorUserId)
  const upTo = fanOut.upTo ?? (await drawUpTo(client, fanOut))
  if ((await retractWaiting(client, userId, actorId, upTo)) === SOURCES_PER_CHUNK) return { cursorUserId }
  const page = await retractPage(client, userId, actorId, upTo, cursorUserId)
  const drafts = await takeOut(client, types, userId, actorId, upTo, page)
  await storeFolded(client, types, inboxes, { drafts, expiredGroups: [], sources: [], windows: [] })
  const unfinished = page.sources.length === SOURCES_PER_CHUNK
  if (unfinished) return { cursorUserId: String(Math.min(...page.ids) + 1) }
  return page.size < NOTIFICATIONS_PER_CHUNK ? 'finished' : { cursorUserId: String(page.lowest) }
}

/** Runs under the inbox's lock. Events dispatched before have a lower id; later dispatches see the block. */
async function drawUpTo(client: pg.ClientBase, { id }: FanOut): Promise<string> {
  const { rows } = await client.query<{ upTo: string }>({
    name: 'draw_up_to',
    text: `update notify.fan_outs set up_to = nextval('notify.outbox_id_seq') where id = $1 returning up_to as "upTo"`,
    values: [id],
  })
  return String(rows[0]?.upTo)
}

async function retractWaiting(
  client: pg.ClientBase,
  userId: string,
  actorId: string,
  upTo: string,
): Promise<number | null> {
  const { rowCount } = await client.query({
    name: 'retract_waiting_of_actor',
    text: `update notify.sources s set waits_for = null, decision = 'retracted', event_id = $3, decided_at = now()
           where s.user_id = $1 and s.source_id = any(array(
             select k.source_id from notify.windows x
             cross join lateral (
               select s.source_id from notify.sources s
               where s.user_id = x.user_id and s.waits_for = x.group_key and s.waits_filter = x.filter and s.actor_id = $2 and s.event_id < $3
               limit ${SOURCES_PER_CHUNK}) k
             where x.user_id = $1 limit ${SOURCES_PER_CHUNK}))`,
    values: [userId, actorId, upTo],
  })
  return rowCount
}

/** `ids`: notifications with retracted sources. `size`: notifications examined. `lowest`: the last of them. */
type Page = { size: number; lowest: number; ids: number[]; sources: string[] }

/**
 * Looks up notifications one by one, because the index of sources begins with the notification. An inbox may hold
 * millions from other people.
 */
async function retractPage(
  client: pg.ClientBase,
  userId: string,
  actorId: string,
  upTo: string,
  cursor: string,
): Promise<Page> {
  const { rows } = await client.query<Page>({
    name: 'retract_page_of_actor',
    text: `with page as materialized (
             select n.id from notify.notifications n
             where n.user_id = $1 and ($4::bigint = 0 or n.id < $4) order by n.id desc limit ${NOTIFICATIONS_PER_CHUNK}
           ), picked as materialized (
             select k.source_id from page p
             cross join lateral (
               select s.source_id from notify.sources s
               where s.user_id = $1 and s.notification_id = p.id and s.actor_id = $2 and s.live and s.event_id < $3
               limit ${SOURCES_PER_CHUNK}) k
             limit ${SOURCES_PER_CHUNK}
           ), ended as (
             update notify.sources s set live = false, decision = 'retracted', event_id = $3, decided_at = now()
             where s.user_id = $1 and s.source_id = any(array(select source_id from picked))
             returning s.notification_id, s.source_id
           )
           select (select count(*)::int from page) as size, (select coalesce(min(id), 0)::float8 from page) as lowest,
             coalesce((select array_agg(distinct notification_id::float8) from ended), '{}') as ids,
             coalesce((select array_agg(source_id) from ended), '{}') as sources`,
    values: [userId, actorId, upTo, cursor],
  })
  return rows[0] ?? { size: 0, lowest: 0, ids: [], sources: [] }
}

/**
 * `earlier`, `later`: the actor has live sources left from before or after the block. `nobody`: there are live sources
 * without an actor.
 */
type Left = { id: number; earlier: boolean; later: boolean; nobody: boolean }

/**
 * Returns the page's notifications without the actor. Removes a notification without other actors at once; its
 * remaining sources end later.
 */
async function takeOut(
  client: pg.ClientBase,
  types: TypeLookup,
  userId: string,
  actorId: string,
  upTo: string,
  { ids, sources }: Page,
): Promise<Draft[]> {
  if (ids.length === 0) return []
  const ended = new Set(sources)
  const left = new Map((await readLeft(client, userId, actorId, upTo, ids)).map((row) => [row.id, row]))
  const drafts = await readDrafts(client, [userId], 'n.id = any($2::bigint[])', ids, ids.length)
  for (const draft of drafts) {
    if (ended.has(`comment:${draft.data.commentId}`)) forgetComment(draft)
    const { earlier, later, nobody } = left.get(draft.id) ?? { earlier: false, later: false, nobody: false }
    if (later) continue
    if (nobody) draft.liveSources.set(NOBODY, 1)
    const alone = draft.actorCount === 1 && !nobody
    if (!earlier || alone) removeActor(draft, { actorId, sourceId: '' }, types)
    else hide(draft, actorId)
  }
  return drafts.filter((draft) => draft.changed)
}

/**
 * Hides the actor at once in a group with more of the actor's sources than one chunk. The last chunk subtracts the actor from
 * the count.
 */
function hide(draft: Draft, actorId: string): void {
  if (!draft.actorIds.includes(actorId)) return
  forget(draft, actorId)
  draft.changed = true
}

async function readLeft(
  client: pg.ClientBase,
  userId: string,
  actorId: string,
  upTo: string,
  ids: number[],
): Promise<Left[]> {
  const live = (condition: string) => `exists (
    select from notify.sources s where s.user_id = $1 and s.notification_id = w.id and s.live and ${condition})`
  const { rows } = await client.query<Left>({
    name: 'left_of_actor',
    text: `select w.id::float8 as id, ${live('s.actor_id = $2 and s.event_id < $3')} as earlier,
             ${live('s.actor_id = $2 and s.event_id > $3')} as later, ${live(`s.actor_id = ${NOBODY}`)} as nobody
           from unnest($4::bigint[]) w (id)`,
    values: [userId, actorId, upTo, ids],
  })
  return rows
}
