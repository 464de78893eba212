import type pg from 'pg'
import type { Queryable } from '../../db/client.ts'
import type { Rule } from './rule.ts'

/** A segment. Exactly one of `rule` and `sql` is not null. */
export type Segment = {
  id: string
  name: string
  rule: Rule | null
  sql: string | null
  createdAt: Date
  updatedAt: Date
}
export type SegmentContent = Pick<Segment, 'name' | 'rule' | 'sql'>

const columns = `id, name, rule, query as sql, created_at as "createdAt", updated_at as "updatedAt"`

export async function findSegment(db: Queryable, id: string, { lock = false } = {}): Promise<Segment | undefined> {
  const { rows } = await db.query<Segment>(
    `select ${columns} from social.segments where id = $1 ${lock ? 'for update' : ''}`,
    [id],
  )
  return rows[0]
}

/** Undefined when another segment has the name. */
export async function createSegment(
  trx: pg.ClientBase,
  { name, rule, sql }: SegmentContent,
): Promise<Segment | undefined> {
  const { rows } = await trx.query<Segment>(
    `insert into social.segments (name, rule, query) values ($1, $2, $3) on conflict (name) do nothing returning ${columns}`,
    [name, rule && JSON.stringify(rule), sql],
  )
  return rows[0]
}

/** Undefined when another segment has the name. The caller has locked this one. */
export async function updateSegment(
  trx: pg.ClientBase,
  id: string,
  { name, rule, sql }: SegmentContent,
): Promise<Segment | undefined> {
  const { rows } = await trx.query<Segment>(
    `update social.segments s set name = $2, rule = $3, query = $4, updated_at = now()
     where id = $1 and not exists (select from social.segments o where o.name = $2 and o.id <> s.id) returning ${columns}`,
    [id, name, rule && JSON.stringify(rule), sql],
  )
  return rows[0]
}

export async function deleteSegment(trx: pg.ClientBase, id: string): Promise<void> {
  await trx.query('delete from social.segments where id = $1', [id])
}
