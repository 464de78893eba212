import pg from 'pg'
import { Actions } from '../../actions.ts'
import { notifyRecipients } from '../../dispatch/dispatch.ts'
import { listOf, type Members, notifyPlain } from '../../dispatch/fast-path.ts'
import type { Chunk, ChunkResult, FanOut } from '../../fan-outs/run.ts'
import type { OutboxEvent } from '../../outbox/event.ts'
import { setAside } from '../../outbox/pending.ts'
import type { TypeLookup } from '../../types/types.ts'
import { type CompileAudience, faultOfQuery } from '../audience.ts'
import { type Broadcast, eventOf, findBroadcast, type State, sourceOf } from '../broadcast.ts'
import { announceEnd } from './end.ts'
import { countMembers, nextMembers, type Part } from './members.ts'
import { wakeParts } from './parts.ts'
import { dropLate } from './recall.ts'

/** Recipients per chunk. Small as for the subscribers of a post, because other transactions wait for these inboxes. */
const MEMBERS_PER_CHUNK = 2000
/** After this many failures, each recipient of the chunk gets a pending event. */
const PATIENCE = 2
/** Interval at which a paused broadcast checks whether it was resumed, in case the wake-up came during a chunk. */
const PAUSED_SECONDS = 5
const BEGINNING_SECONDS = 0.2
/** Interval at which the last part, for all remaining recipients, checks whether the other parts have ended. */
const REST_SECONDS = 0.5

/** The actions for dispatch: none, because sends have no objects and move no counters. */
const noActions = new Actions([])

/**
 * Notifies the next recipients of a broadcast. Reads its state first, so pausing and cancelling take effect with the
 * next chunk. One statement covers recipients with default settings; the others go through dispatch. Recipients with a
 * held inbox get a pending event.
 */
export function broadcastChunk(compile: CompileAudience): Chunk {
  return async (client, fanOut, types) => {
    const broadcast = await findBroadcast(client, fanOut.objectId)
    if (broadcast?.state === 'paused') return again(fanOut, PAUSED_SECONDS)
    if (broadcast?.state === 'scheduled') return begin(client, compile, fanOut)
    if (broadcast?.state !== 'running') return finish(client, fanOut)
    const part = fanOut.event as Part
    if (part.rest && (await othersWork(client, fanOut))) return again(fanOut, REST_SECONDS)
    const { perSecond } = broadcast
    const page = await nextMembers(client, compile, {
      broadcastId: broadcast.id,
      audience: broadcast.audience,
      part,
      after: fanOut.cursorUserId,
      shards: [fanOut.firstShard, fanOut.lastShard],
      limit: Math.min(MEMBERS_PER_CHUNK, perSecond ?? MEMBERS_PER_CHUNK),
    })
    const counts = { done: page.size, stored: 0, filtered: 0, suppressed: 0 }
    for (const { locale, ...members } of page.groups)
      add(counts, await sendTo(client, types, broadcast, eventOf(broadcast, locale, part.expiresAt), members, fanOut))
    // A cancel or recall that was committed meanwhile did not see the events of this chunk; one that comes later will.
    const state = await addProgress(client, broadcast, counts)
    if (state === 'cancelled' || state === 'recalled') await dropLate(client, broadcast.id)
    if (page.last !== null)
      return { cursorUserId: page.last, afterSeconds: perSecond === null ? 0 : page.size / perSecond }
    return finish(client, fanOut)
  }
}

const again = ({ cursorUserId }: FanOut, afterSeconds: number): ChunkResult => ({ cursorUserId, afterSeconds })

async function othersWork(client: pg.ClientBase, { id, objectId }: FanOut): Promise<boolean> {
  const { rowCount } = await client.query(
    `select from notify.fan_outs where kind = 'broadcast' and object_id = $1 and finished_at is null and id <> $2 limit 1`,
    [objectId, id],
  )
  return rowCount === 1
}

/** Timeout of the count of recipients. Without a total, the broadcast continues all the same. */
const COUNT_TIMEOUT = '20s'

/**
 * Starts a scheduled broadcast with its first chunk: counts the recipients, and lists those of a query. A query that
 * fails, or a rule with an impossible value (SQLSTATE class 22), cancels the broadcast. Both are read in a read-only
 * subtransaction that is rolled back, so nothing remains that a query does or sets.
 */
async function begin(client: pg.ClientBase, compile: CompileAudience, fanOut: FanOut): Promise<ChunkResult> {
  const { rowCount } = await client.query(
    `select from notify.broadcasts where id = $1 and state = 'scheduled' for no key update skip locked`,
    [fanOut.objectId],
  )
  const broadcast = await findBroadcast(client, fanOut.objectId)
  if (rowCount === 0 || !broadcast) return again(fanOut, BEGINNING_SECONDS)
  const { audience, id } = broadcast
  const isQuery = 'sql' in audience
  if (isQuery) await client.query(recipientsCursor, [audience.sql])
  let total: number | null = null
  let firstPage: string[] = []
  try {
    await client.query(
      `savepoint counting; set transaction read only; set local statement_timeout = '${COUNT_TIMEOUT}'`,
    )
    if (isQuery) firstPage = await fetchRecipients(client)
    else total = await countMembers(client, compile, audience)
    await client.query('rollback to savepoint counting')
  } catch (error) {
    await client.query('rollback to savepoint counting')
    if (!(error instanceof pg.DatabaseError)) throw error
    if (isQuery || error.code?.startsWith('22')) {
      await cancel(client, id, faultOfQuery(error))
      return finish(client, fanOut)
    }
    if (error.code !== '57014') throw error
  }
  if (isQuery) total = await listRecipients(client, id, firstPage)
  await run(client, id, total)
  return again(fanOut, 0)
}

const RECIPIENTS_PER_FETCH = 10_000

/**
 * A cursor on the recipients that a query selects. Its query runs completely with the first fetch, which stores the ids in
 * the server. The cursor remains when the subtransaction of that fetch is rolled back.
 */
const recipientsCursor = `
  declare recipients no scroll cursor for
  select u.id from social.users_of_query($1::text) q (user_id) join social.users u on u.id = q.user_id
  join notify.inbox i on i.user_id = u.id where u.deleted_at is null`

async function fetchRecipients(client: pg.ClientBase): Promise<string[]> {
  const { rows } = await client.query<{ id: string }>(`fetch ${RECIPIENTS_PER_FETCH} from recipients`)
  return rows.map(({ id }) => id)
}

/** Stores the recipients page by page, so that no process holds the list in memory. Returns how many there are. */
async function listRecipients(client: pg.ClientBase, broadcastId: string, firstPage: string[]): Promise<number> {
  let total = 0
  for (let page = firstPage; page.length > 0; page = await fetchRecipients(client)) {
    await client.query({
      name: 'list_recipients',
      text: `insert into notify.broadcast_audience (broadcast_id, recipient_id) select $1::bigint, unnest($2::bigint[])`,
      values: [broadcastId, page],
    })
    total += page.length
  }
  return total
}

async function run(client: pg.ClientBase, id: string, total: number | null): Promise<void> {
  await client.query(
    `update notify.broadcasts set state = 'running', total = $2, started_at = now(), measured_from = now() where id = $1`,
    [id, total],
  )
}

async function cancel(client: pg.ClientBase, id: string, error: string): Promise<void> {
  await client.query(
    `update notify.broadcasts set state = 'cancelled', last_error = $2, finished_at = now() where id = $1`,
    [id, error],
  )
  await wakeParts(client, id)
}

type Counts = { done: number; stored: number; filtered: number; suppressed: number }

async function sendTo(
  client: pg.ClientBase,
  types: TypeLookup,
  broadcast: Broadcast,
  event: OutboxEvent,
  members: Members,
  { attempts }: FanOut,
): Promise<Omit<Counts, 'done'>> {
  const isPatient = attempts < PATIENCE
  const others = isPatient ? await notifyPlain(client, types, event, members) : listOf(members)
  const events = others.map((recipientId) => ({ ...event, recipientId }))
  const late = !isPatient
    ? events
    : events.length > 0
      ? await notifyRecipients(client, types, noActions, events, 'set aside')
      : []
  await tellLater(client, broadcast, late)
  const counted = await countDecisions(client, broadcast, others, late)
  return { ...counted, stored: counted.stored + members.size - others.length }
}

/** Each copy gets its own id, which identifies pending events. */
async function tellLater(client: pg.ClientBase, { id }: Broadcast, late: OutboxEvent[]): Promise<void> {
  if (late.length === 0) return
  const { rows } = await client.query<{ eventId: number; recipientId: string }>(
    `insert into notify.broadcast_late (broadcast_id, recipient_id, event_id)
     select $1::bigint, recipient_id, nextval('notify.outbox_id_seq') from unnest($2::bigint[]) l (recipient_id)
     on conflict (broadcast_id, recipient_id) do nothing returning event_id::float8 as "eventId", recipient_id as "recipientId"`,
    [id, late.map((event) => event.recipientId)],
  )
  const ids = new Map(rows.map(({ recipientId, eventId }) => [recipientId, eventId]))
  const copies = late.flatMap((event) => {
    const eventId = ids.get(String(event.recipientId))
    return eventId === undefined ? [] : [{ ...event, id: eventId }]
  })
  await setAside(client, 'notifications', copies, 'the inbox was held by another transaction, or the chunk failed')
}

/** Counts the decisions of dispatch for these users. Late recipients are counted when they are decided. */
async function countDecisions(
  client: pg.ClientBase,
  broadcast: Broadcast,
  users: string[],
  late: OutboxEvent[],
): Promise<Omit<Counts, 'done'>> {
  const lateUsers = new Set(late.map(({ recipientId }) => recipientId))
  const decided = users.filter((userId) => !lateUsers.has(userId))
  if (decided.length === 0) return { stored: 0, filtered: 0, suppressed: 0 }
  const { rows } = await client.query<Omit<Counts, 'done'>>({
    name: 'decisions_of_broadcast',
    text: `select count(*) filter (where s.decision = 'shown')::int as stored, count(*) filter (where s.decision = 'filtered')::int as filtered,
             count(*) filter (where s.decision not in ('shown', 'filtered'))::int as suppressed
           from unnest($1::bigint[]) w (user_id)
           cross join lateral (
             select s.decision from notify.sources s where s.user_id = w.user_id and s.source_id = $2 offset 0) s`,
    values: [decided, sourceOf(broadcast)],
  })
  return rows[0] ?? { stored: 0, filtered: 0, suppressed: 0 }
}

function add(counts: Counts, more: Omit<Counts, 'done'>): void {
  counts.stored += more.stored
  counts.filtered += more.filtered
  counts.suppressed += more.suppressed
}

/**
 * Adds the counts of a chunk, and returns the present state. Near the end of the transaction, because other parts wait for this row
 * until the commit.
 */
async function addProgress(client: pg.ClientBase, { id, state }: Broadcast, counts: Counts): Promise<State> {
  if (counts.done === 0) return state
  const { rows } = await client.query<{ state: State }>({
    name: 'progress_of_broadcast',
    text: `update notify.broadcasts
           set done = done + $2, stored = stored + $3, filtered = filtered + $4, suppressed = suppressed + $5 where id = $1
           returning state`,
    values: [id, counts.done, counts.stored, counts.filtered, counts.suppressed],
  })
  return rows[0]?.state ?? state
}

/**
 * Ends a part while the broadcast's row is locked, so that of two parts that end together, the second sees that the
 * first has ended. The last part sets the exact total, even if the audience has changed meanwhile, and announces the end: only
 * now are the counts complete, also those of a cancelled broadcast. A pause during the last chunk has nothing left to stop.
 */
async function finish(client: pg.ClientBase, { id, objectId }: FanOut): Promise<'finished'> {
  await client.query('select from notify.broadcasts where id = $1 for no key update', [objectId])
  const { rowCount } = await client.query(
    `update notify.broadcasts b
     set state = case b.state when 'cancelled' then b.state else 'finished' end, finished_at = coalesce(b.finished_at, now()),
         total = case b.state when 'cancelled' then b.total else b.done end
     where b.id = $1 and b.state in ('running', 'paused', 'cancelled') and not exists (
       select from notify.fan_outs f where f.kind = 'broadcast' and f.object_id = $1 and f.finished_at is null and f.id <> $2)`,
    [objectId, id],
  )
  if (rowCount === 1) await announceEnd(client, objectId)
  return 'finished'
}
