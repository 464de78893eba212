import type pg from 'pg'
import type { Members } from '../../dispatch/fast-path.ts'
import type { Audience, CompileAudience } from '../audience.ts'

/**
 * Which recipients of a broadcast one fan-out serves, among those of its shards: users of some time zones, all users, or those
 * whom no other part has reached.
 */
export type Part = {
  /** Time zones of the recipients. Null: any. */
  zones: string[] | null
  /** Used with `zones`: true includes users without a time zone. */
  unzoned: boolean
  /** True for recipients whom no other part has reached. */
  rest: boolean
  /** Expiry as RFC 3339. Null: as the type defines. */
  expiresAt: string | null
}

export type Page = {
  /** Recipients grouped by locale, each group in the order of ids. */
  groups: (Members & { locale: string | null })[]
  size: number
  /** Cursor of the next page. Null: this is the last page. */
  last: string | null
}

/**
 * Maximum number of users examined for one page. Without it, a rule that matches few users would examine all of them in
 * one statement.
 */
const LOOKED_AT = 50_000
/**
 * The same where every user of the shards is a recipient: five times a page, because a lane has a quarter of the users. Finding the
 * end of 50,000 users costs more than reading the recipients.
 */
const LOOKED_AT_BY_ALL = 10_000

type PageOf = {
  broadcastId: string
  audience: Audience
  part: Part
  after: string
  shards: [first: number, last: number]
  limit: number
}

/** Reads the next recipients by id. Those of a query were listed when the broadcast started. */
export async function nextMembers(client: pg.ClientBase, compile: CompileAudience, of: PageOf): Promise<Page> {
  const { audience, after, limit, part, broadcastId } = of
  const isListed = 'sql' in audience
  const isSelective = 'rule' in audience || part.zones !== null || part.rest
  const lookedAt = isSelective ? LOOKED_AT : LOOKED_AT_BY_ALL
  const values: unknown[] = [after, ...of.shards, limit, lookedAt, broadcastId, part.zones, part.unzoned]
  const condition = isListed ? 'true' : compile(audience, values)
  const range = isListed
    ? `(select recipient_id as id from notify.broadcast_audience where broadcast_id = $6::bigint and recipient_id > $1::bigint order by 1 limit $5)`
    : `(select id from social.users where id > $1::bigint order by 1 limit $5)`
  const listed = isListed
    ? `join notify.broadcast_audience a on a.broadcast_id = $6::bigint and a.recipient_id = u.id and a.recipient_id > $1::bigint`
    : ''
  const { rows } = await client.query<{
    locale: string | null
    ids: string
    size: number
    last: string | null
    end: string | null
    seen: number
  }>(
    `with looked_at as materialized (select max(id) as last, count(*)::int as seen from ${range} r),
     found as materialized (
       select u.id, u.locale
       from social.users u join notify.inbox i on i.user_id = u.id ${listed}
       where $6::bigint is not null and u.id > $1::bigint and u.id <= (select last from looked_at) and u.deleted_at is null
         and notify.shard_of(u.id) between $2::smallint and $3::smallint
         and ($7::text[] is null or u.time_zone = any($7::text[]) or $8::boolean and u.time_zone is null)
         ${part.rest || part.zones !== null ? unreached : ''}
         and (${condition})
       order by u.id limit $4
     )
     select f.locale, array_agg(f.id order by f.id)::text as ids, count(*)::int as size, max(f.id) as last, l.last as end, l.seen
     from looked_at l left join found f on true group by f.locale, l.last, l.seen order by f.locale nulls first`,
    values,
  )
  const groups = rows.filter((row) => row.last !== null)
  const size = groups.reduce((sum, group) => sum + group.size, 0)
  const [{ end, seen } = { end: null, seen: 0 }] = rows
  const lastFound = groups.map(({ last }) => BigInt(last ?? 0)).reduce((a, b) => (a > b ? a : b), 0n)
  const last = size === limit ? String(lastFound) : seen < lookedAt ? null : end
  return { groups, size, last }
}

/**
 * SQL: no part has reached the user, who may have changed the time zone between two of them. Looks up each user singly: a join would
 * read all sources of the broadcast for each page.
 */
const unreached = `
  and (select s.event_id from notify.sources s where s.user_id = u.id and s.source_id = 'broadcast:' || $6::bigint) is null
  and (select t.event_id from notify.broadcast_late t where t.broadcast_id = $6::bigint and t.recipient_id = u.id) is null`

/** Counts the recipients of an audience now. */
export async function countMembers(
  client: pg.ClientBase,
  compile: CompileAudience,
  audience: Audience,
): Promise<number> {
  const values: unknown[] = []
  const { rows } = await client.query<{ count: number }>(
    `select count(*)::int as count from social.users u join notify.inbox i on i.user_id = u.id
     where u.deleted_at is null and (${compile(audience, values)})`,
    values,
  )
  return rows[0]?.count ?? 0
}
