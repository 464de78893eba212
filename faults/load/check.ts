import { isDeepStrictEqual } from 'node:util'
import type pg from 'pg'
import type { Notification } from '../../src/protocol/notification.ts'
import { SECOND, within } from '../wait.ts'
import type { FoldingClient } from './folding-client.ts'
import type { Load } from './load.ts'
import type { World } from './world.ts'

/** Faults that a check found; each list names only the first ones. */
export type Findings = {
  /** An action that was confirmed but does not exist, or that exists but did not notify its recipient. */
  lost: string[]
  /** A recipient was notified more than once, or of something that does not exist. */
  doubled: string[]
  /** Any other fault. */
  broken: string[]
}

/** Checks all invariants, once the load has ended and all its events are processed. */
export async function check(
  pool: pg.Pool,
  world: World,
  load: Load,
  clients: FoldingClient[],
  settleSeconds: number,
): Promise<Findings> {
  const findings: Findings = { lost: [], doubled: [], broken: [] }
  const client = await pool.connect()
  try {
    const isSettled = await settled(client, settleSeconds)
    await compareAnswers(client, load, findings)
    await compareComments(client, world, findings)
    // Unread events are late. Whether they are lost cannot be known yet.
    if (!isSettled) findings.broken.push('not settled', ...(await whatIsLeft(client)))
    else {
      await compareNotifications(client, world, findings)
      await compareCounts(client, findings)
    }
  } finally {
    await client.query('rollback').finally(() => client.release())
  }
  await compareClients(clients, findings)
  return findings
}

/**
 * Begins a transaction whose snapshot shows every event read, nothing pending and no running fan-out. All comparisons use this
 * one snapshot, because a call may still commit after its client has given up. With a second snapshot, such an action would
 * look as if it had notified nobody.
 */
function settled(client: pg.ClientBase, seconds: number): Promise<boolean> {
  return within(seconds * SECOND, async () => {
    await client.query('rollback')
    await client.query('begin isolation level repeatable read read only')
    const { rows } = await client.query<{ busy: string }>(
      `select (select sum(events) from ops.lag) + (select count(*) from ops.pending)
         + (select count(*) from notify.fan_outs where finished_at is null) as busy`,
    )
    return rows[0]?.busy === '0'
  })
}

async function whatIsLeft(client: pg.ClientBase): Promise<string[]> {
  const { rows } = await client.query(
    `select consumer || ' lane ' || lane || ' has not read ' || events || ' events' as left from ops.lag where events > 0
     union all select 'pending: ' || count(*) || ', ' || max(last_error) from ops.pending having count(*) > 0`,
  )
  return rows.map((row) => row.left)
}

/** Each confirmed action exists, and each confirmed undo has removed its action. */
async function compareAnswers(client: pg.ClientBase, load: Load, { lost, doubled }: Findings): Promise<void> {
  for (const [name, table, pairs] of [
    ['like', '(select post_id as object_id, user_id from social.likes)', load.likes],
    ['follow', '(select followee_id as object_id, follower_id as user_id from social.follows)', load.follows],
  ] as const) {
    const known = [...pairs].filter(([, state]) => state !== 'busy' && state !== 'uncertain')
    const { rows } = await client.query<{ pair: string; expected: string }>(
      `select w.pair, w.expected from unnest($1::text[], $2::text[]) w (pair, expected)
       left join ${table} t on t.object_id = split_part(w.pair, ':', 1)::bigint and t.user_id = split_part(w.pair, ':', 2)::bigint
       where (w.expected <> 'gone') <> (t.user_id is not null)`,
      [known.map(([pair]) => pair), known.map(([, state]) => state)],
    )
    for (const { pair, expected } of rows)
      if (expected !== 'gone') lost.push(`the ${name} ${pair} was confirmed but is missing`)
      else doubled.push(`the ${name} ${pair} was undone but still exists`)
  }
  const { rows } = await client.query<{ id: string }>(
    `select id from unnest($1::bigint[]) id where not exists (select from social.comments c where c.id = id.id)`,
    [load.comments.map((comment) => comment.id)],
  )
  for (const { id } of rows) lost.push(`comment ${id} was confirmed but is missing`)
}

/** Each comment of the load has a unique text, so the same text twice is one comment written twice. */
async function compareComments(client: pg.ClientBase, { members }: World, { doubled }: Findings): Promise<void> {
  const { rows } = await client.query<{ ids: string }>(
    `select string_agg(id::text, ', ') as ids from social.comments
     where author_id = any($1::bigint[]) group by body having count(*) > 1`,
    [members.map((member) => member.id)],
  )
  for (const { ids } of rows) doubled.push(`comments ${ids} are the same comment`)
}

/** The notifications that the contract requires, derived from the domain tables alone. */
const expected = `
  select p.author_id as user_id, 'like:' || l.post_id || ':' || l.user_id as source_id, 'post.liked' as type
  from social.likes l join social.posts p on p.id = l.post_id where p.author_id <> l.user_id
  union all
  select followee_id, 'follow:' || follower_id || ':' || followee_id, 'user.followed' from social.follows
  union all
  select user_id, source_id, type from (
    select distinct on (c.id, t.user_id) t.user_id, 'comment:' || c.id as source_id, t.type
    from social.comments c
    join social.posts p on p.id = c.post_id
    left join social.comments parent on parent.id = c.parent_id
    left join social.users named on named.username = substring(c.body from '@([a-z0-9_]+)')
    cross join lateral (values (1, parent.author_id, 'comment.replied'), (2, named.id, 'user.mentioned'),
                               (3, p.author_id, 'comment.created')) t (rank, user_id, type)
    where t.user_id is not null and t.user_id <> c.author_id
    order by c.id, t.user_id, t.rank
  ) comments`

/** The notifications that the engine has stored. */
const stored = `
  select s.user_id, s.source_id, n.type
  from notify.sources s left join notify.notifications n on n.user_id = s.user_id and n.id = s.notification_id
  where s.live`

async function compareNotifications(
  client: pg.ClientBase,
  { members }: World,
  { lost, doubled }: Findings,
): Promise<void> {
  const ids = [members.map((member) => member.id)]
  const { rows } = await client.query<{ what: string; isLost: boolean }>(
    `select concat_ws(' ', user_id, type, source_id) as what, coalesce(is_due, false) as "isLost"
     from (select *, true as is_due from (${expected}) e) e
     full join (select *, true as is_stored from (${stored}) s) s using (user_id, source_id, type)
     where (is_due is null or is_stored is null) and user_id = any($1::bigint[])`,
    ids,
  )
  for (const { what, isLost } of rows)
    (isLost ? lost : doubled).push(`${what} is ${isLost ? 'due but not notified' : 'notified but not due'}`)

  const { rows: orphans } = await client.query<{ what: string }>(
    `select n.user_id || ' holds notification ' || n.id || ' (' || n.type || ') that nothing stands for' as what
     from notify.notifications n where n.user_id = any($1::bigint[])
       and not exists (select from notify.sources s where s.user_id = n.user_id and s.notification_id = n.id and s.live)`,
    ids,
  )
  for (const { what } of orphans) doubled.push(what)
}

async function compareCounts(client: pg.ClientBase, { broken }: Findings): Promise<void> {
  const { rows } = await client.query('select * from ops.count_drift limit 20')
  for (const { counter, id, folded, counted } of rows) broken.push(`${counter} of ${id} is ${folded}, not ${counted}`)
  const { rows: dead } = await client.query('select source_id, last_error from ops.dead_letters limit 20')
  for (const { source_id, last_error } of dead) broken.push(`dead letter ${source_id}: ${last_error}`)
}

const AT_ONCE = 20
const NOT_LISTED = 'could not list'

/** Each client holds exactly the list of the api, as soon as it has reached the same state. */
async function compareClients(clients: FoldingClient[], findings: Findings): Promise<void> {
  const waiting = [...clients]
  const next = async (): Promise<void> => {
    for (let client = waiting.pop(); client; client = waiting.pop()) {
      const difference = await differenceOf(client)
      if (difference === NOT_LISTED) findings.broken.push(`client of ${client.member.id}: ${difference}`)
      else if (difference) findings.lost.push(`client of ${client.member.id}: ${difference}`)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, next))
}

async function differenceOf(client: FoldingClient): Promise<string | undefined> {
  let difference = NOT_LISTED
  const same = await within(60 * SECOND, async () => {
    const list = await client.list()
    if (!list) return false
    const held = client.inbox
    difference =
      list.state !== held.state
        ? `at state ${held.state} of ${list.state}${client.live ? '' : ', not connected'}`
        : !isDeepStrictEqual(comparable(list.items), comparable(held.items))
          ? 'other notifications than listed'
          : list.unreadCount !== held.counts.unreadCount || list.unseenCount !== held.counts.unseenCount
            ? 'other counts than listed'
            : ''
    return difference === ''
  })
  return same ? undefined : difference
}

/** The list by id, because notifications updated at the same time have no order. Omits `deliveredAt`, which has no modseq. */
function comparable(items: Notification[]): object[] {
  return [...items].sort((a, b) => Number(a.id) - Number(b.id)).map(({ deliveredAt: _, ...rest }) => rest)
}
