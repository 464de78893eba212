import type pg from 'pg'
import { fail } from '../../errors.ts'

/** Names by themselves in lower case. Reading pg_timezone_names reads some 1,200 files, so each name is read once per process. */
const names = new Map<string, string>()

/**
 * The IANA name of a zone given in any case. PostgreSQL would also take POSIX texts, whose sign is reversed (`UTC+2`), and
 * abbreviations; a browser refuses them.
 * @throws {AppError} BAD_TIME_ZONE when PostgreSQL or Intl does not know the zone
 */
export async function findTimeZone(client: Pick<pg.ClientBase, 'query'>, timeZone: string): Promise<string> {
  const key = timeZone.toLowerCase()
  const known = names.get(key) ?? (isOfIntl(timeZone) ? await readName(client, key) : undefined)
  if (known === undefined) throw fail('BAD_TIME_ZONE', `${timeZone} is not an IANA zone`)
  names.set(key, known)
  return known
}

async function readName(client: Pick<pg.ClientBase, 'query'>, key: string): Promise<string | undefined> {
  const { rows } = await client.query<{ name: string }>('select name from pg_timezone_names where lower(name) = $1', [
    key,
  ])
  return rows[0]?.name
}

/** Intl also knows offsets, like +02:00. */
function isOfIntl(timeZone: string): boolean {
  try {
    return /^[a-z]/i.test(timeZone) && new Intl.DateTimeFormat('en', { timeZone }) !== undefined
  } catch {
    return false
  }
}
