import type pg from 'pg'
import { type Broadcast, threadOf } from '../broadcast.ts'

/** One row of notify.fan_outs; `due` and `zones` are SQL over `$2` (send_at) and `$3` (wall_time). */
const insertParts = (rows: string) => `
  insert into notify.fan_outs (kind, object_id, actor_id, thread_key, first_shard, last_shard, due_at, event)
  select 'broadcast', $1::bigint, r.number, $4::text, r.first_shard, r.last_shard, r.due, jsonb_build_object(
    'zones', r.zones, 'unzoned', r.unzoned, 'rest', r.rest,
    'expiresAt', to_char((greatest(r.due, now()) + make_interval(secs => $5::float8)) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
  from (${rows}) r`

/** One part for each lane; they run concurrently. */
const lanes = `
  select 0 as number, p.shard_from as first_shard, p.shard_to as last_shard, coalesce($2::timestamptz, now()) as due, null::text[] as zones,
    false as unzoned, false as rest
  from notify.positions p where p.consumer = 'notifications' and not p.critical and $3::timestamp is null`

/** A single part, so that a limit per second applies to the whole broadcast. */
const single = `
  select 0 as number, 0 as first_shard, 31 as last_shard, coalesce($2::timestamptz, now()) as due, null::text[] as zones,
    false as unzoned, false as rest
  where $3::timestamp is null`

/**
 * A part for each moment at which it is the local time in some user's time zone; UTC applies to users without one. The
 * last part covers users who changed their time zone meanwhile, or have one that PostgreSQL does not know. If the
 * clocks skip the time, the moment is after the gap; if they repeat it, it is the second, as PostgreSQL converts them.
 */
const zones = `
  select row_number() over (order by z.due, z.rest)::int as number, 0 as first_shard, 31 as last_shard, z.due, z.zones, z.unzoned, z.rest
  from (
    with recursive used as (
      select (select min(u.time_zone) from social.users u where u.time_zone is not null) as name
      union all
      select (select min(u.time_zone) from social.users u where u.time_zone > used.name) from used where used.name is not null
    ), moments as (
      select z.name, coalesce($2::timestamptz, $3::timestamp at time zone z.name) as due
      from pg_timezone_names z where z.name = 'UTC' or z.name in (select used.name from used)
    )
    select due, array_agg(name) as zones, bool_or(name = 'UTC') as unzoned, false as rest from moments group by due
    union all
    select max(due), null, false, true from moments
  ) z`

/** Adds the fan-outs of a sent broadcast. Each reads its recipients when it is due. */
export async function addParts(trx: pg.ClientBase, broadcast: Broadcast): Promise<void> {
  const { id, sendAt, wallTime, perSecond, expiresIn } = broadcast
  const rows = wallTime !== null ? zones : perSecond !== null ? single : lanes
  await trx.query(insertParts(rows), [id, sendAt, wallTime, threadOf(broadcast), expiresIn])
}

/** Makes the parts check the state of the broadcast now. Parts with a running chunk check it afterwards anyway. */
export async function wakeParts(trx: pg.ClientBase, id: string): Promise<void> {
  await trx.query(
    `update notify.fan_outs set due_at = now() where id = any(array(
       select f.id from notify.fan_outs f where f.kind = 'broadcast' and f.object_id = $1 and f.finished_at is null
       for update skip locked))`,
    [id],
  )
}
