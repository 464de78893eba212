import type pg from 'pg'
import { mentionedNames } from '../../notify/rules/recipients.ts'

/** Ids of the users whom a text names with @username, in the order of the text. */
export async function findMentioned(client: pg.ClientBase, body: string): Promise<string[]> {
  const names = mentionedNames(body)
  if (names.length === 0) return []
  const { rows } = await client.query<{ id: string; username: string }>({
    name: 'find_mentioned',
    text: 'select id, username from social.users where username = any($1::text[]) and deleted_at is null',
    values: [names],
  })
  return rows.sort((a, b) => names.indexOf(a.username) - names.indexOf(b.username)).map((row) => row.id)
}
