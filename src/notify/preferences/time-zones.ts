import type { Queryable } from '../../db/client.ts'
import { fail } from '../../errors.ts'

/**
 * Names by themselves in lower case. Reading pg_timezone_names reads some 1,200 files, so it is read once per process, with the
 * names that do not exist too: ones that only Intl knows, like JST, must not read it again.
 */
let names: Map<string, string> | undefined

/**
 * The IANA name of a zone given in any case. PostgreSQL would also take POSIX texts, whose sign is reversed (`UTC+2`), and
 * abbreviations; a browser refuses them.
 * @throws {AppError} BAD_TIME_ZONE when PostgreSQL or Intl does not know the zone
 */
export async function findTimeZone(client: Queryable, timeZone: string): Promise<string> {
  const known = isOfIntl(timeZone) ? await readName(client, timeZone) : undefined
  if (known === undefined) throw fail('BAD_TIME_ZONE', `${timeZone} is not an IANA zone`)
  return known
}

async function readName(client: Queryable, timeZone: string): Promise<string | undefined> {
  if (!names) {
    const { rows } = await client.query<{ name: string }>('select name from pg_timezone_names')
    names = new Map(rows.map(({ name }) => [name.toLowerCase(), name]))
  }
  return names.get(timeZone.toLowerCase())
}

/** Intl also knows offsets, like +02:00. */
function isOfIntl(timeZone: string): boolean {
  try {
    return /^[a-z]/i.test(timeZone) && new Intl.DateTimeFormat('en', { timeZone }) !== undefined
  } catch {
    return false
  }
}
