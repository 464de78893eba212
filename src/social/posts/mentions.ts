import type { Static } from '@sinclair/typebox'
import type pg from 'pg'
import { namesIn } from '../../notify/rules/recipients.ts'
import type { Mention } from '../../protocol/comment.ts'

/** A mention as stored with a text. */
type StoredMention = Omit<Static<typeof Mention>, 'username'>

/**
 * The mentions of a text. `ids`: each user once, in the order of the text. `stored`: value of the column `mentions`;
 * null without mentions.
 */
export type Mentioned = { ids: string[]; stored: string | null }

/** Maximum mentions stored per text, because one text can mention a person many times. */
const MAX_STORED = 100

/** The users whom a text mentions as @username. */
export async function findMentioned(client: pg.ClientBase, body: string): Promise<Mentioned> {
  const found = namesIn(body)
  if (found.length === 0) return { ids: [], stored: null }
  const { rows } = await client.query<{ id: string; username: string }>({
    name: 'find_mentioned',
    text: 'select id, username from social.users where username = any($1::text[]) and deleted_at is null',
    values: [[...new Set(found.map(({ name }) => name))]],
  })
  const idOf = new Map(rows.map((row) => [row.username, row.id]))
  const mentions: StoredMention[] = found.flatMap(({ name, start, end }) => {
    const id = idOf.get(name)
    return id === undefined ? [] : [{ id, start, end }]
  })
  const stored = mentions.length > 0 ? JSON.stringify(mentions.slice(0, MAX_STORED)) : null
  return { ids: [...new Set(mentions.map(({ id }) => id))], stored }
}

/** The mentions of a post or comment as JSON, without deleted users. Most texts mention no one, and cost nothing. */
export const mentionsColumn = (row: 'p' | 'c') => `case when ${row}.mentions is null then '[]' else (
  select coalesce(json_agg(json_build_object('id', m.id, 'username', u.username, 'start', m.start, 'end', m."end") order by m.start), '[]')
  from jsonb_to_recordset(${row}.mentions) m (id text, start integer, "end" integer)
  join social.users u on u.id = m.id::bigint and u.deleted_at is null) end as mentions`
