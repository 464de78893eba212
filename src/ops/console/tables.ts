import { Type } from '@sinclair/typebox'
import { fail } from '../../errors.ts'
import { encodeCursor, textKey } from '../../http/paging.ts'
import type { Parameter, Read, Reader, Row } from '../../http/shown-sql/reader.ts'

export const Column = Type.Object({
  name: Type.String(),
  type: Type.String({ description: 'As PostgreSQL names it' }),
  comment: Type.Union([Type.String(), Type.Null()]),
  private: Type.Boolean({ description: 'What people wrote or can be reached by: left out unless revealed' }),
  shown: Type.Boolean({ description: 'False: private and not revealed, or a secret that the console cannot read' }),
  key: Type.Boolean({ description: 'Part of the primary key' }),
  searchable: Type.Boolean({ description: 'First column of an index' }),
  references: Type.Union([Type.String(), Type.Null()], { description: 'schema.table.column that it refers to' }),
})

type Column = {
  name: string
  type: string
  comment: string | null
  private: boolean
  shown: boolean
  key: boolean
  searchable: boolean
  references: string | null
  /** SQL in place of the column, unless revealed. */
  cut: string | undefined
}
type Table = {
  name: string
  columns: Column[]
  keys: Column[]
  time: Column | undefined
  tail: string
  tailIsPart: boolean
}

export type Request = {
  name: string
  order: 'newest' | 'key'
  limit: number
  reveal: boolean
  /** A value that a column has. */
  search?: { column: string; value: string } | undefined
  cursor?: string[] | null
}

/** Columns with texts that people wrote, or addresses at which they can be reached. */
const PRIVATE = new Set(
  'body title url data event document email new_email bio alt user_agent mentions words payload variables former'.split(
    ' ',
  ),
)
/**
 * Columns that are secret for other reasons: anyone who has the id of a medium may see it; rate limits contain
 * addresses.
 */
const PRIVATE_OF: Record<string, string> = { 'social.media': 'id', 'social.rate_limits': 'key' }
/** Part of a key, of which only the end is private: the mail about a new address names the former one. */
const CUT: Record<string, string> = { 'notify.deliveries.target': "split_part(t.target, ' ', 1)" }
/** Tables without personal data. */
const OPEN = new Set(['notify.types'])
/** Columns with the time at which a row was written; the first that a table has is used. */
const TIMES = ['at', 'created_at', 'decided_at', 'opened_at', 'queued_at', 'removed_at']
const MOST_CHARACTERS = 300

/**
 * Describes a table.
 * @throws {AppError} TABLE_NOT_FOUND
 */
export async function describeTable(reader: Reader, name: string, reveal: boolean): Promise<Table> {
  const { rows } = await reader.read('table', [name], 1000)
  if (rows.length === 0) throw fail('TABLE_NOT_FOUND')
  const columns = rows.map((row) => columnOf(name, row, reveal))
  const place = (column: Column) => Number(rows.find((row) => row.name === column.name)?.keyPlace)
  return {
    name,
    columns,
    keys: columns.filter(({ key }) => key).sort((a, b) => place(a) - place(b)),
    time: TIMES.map((time) => columns.find((column) => column.name === time)).find((column) => column?.shown),
    tail: String(rows[0]?.tail),
    tailIsPart: rows[0]?.tailIsPart === true,
  }
}

function columnOf(table: string, row: Row, reveal: boolean): Column {
  const name = String(row.name)
  // The delivery log names what happened, the other tables keep a copy of the event.
  const isPrivate =
    PRIVATE_OF[table] === name || (PRIVATE.has(name) && !OPEN.has(table) && !(name === 'event' && row.type === 'text'))
  return {
    name,
    type: String(row.type),
    comment: row.comment as string | null,
    private: isPrivate,
    shown: row.readable === true && (reveal || !isPrivate),
    key: row.keyPlace !== null,
    searchable: row.indexed === true && row.readable === true && !isPrivate,
    references: row.references as string | null,
    cut: reveal ? undefined : CUT[`${table}.${name}`],
  }
}

/**
 * The statement for a page of a table. By key: latest key first, from the cursor on. Newest: by time, among the rows in
 * the last 4 MB of the table, or of a log's last partition; so it reads little however large the table is.
 */
export function textForRows(
  table: Table,
  { order, search, cursor }: Pick<Request, 'order' | 'search' | 'cursor'>,
): string {
  const shown = table.columns.filter((column) => column.shown)
  const conditions: string[] = []
  let place = 1
  if (search) {
    const column = table.columns.find(({ name }) => name === search.column)
    if (!column?.searchable) throw fail('COLUMN_NOT_SEARCHABLE', 'Search by the first column of an index')
    place += 1
    conditions.push(`t.${quote(column.name)} = $${place}::${column.type}`)
  }
  const byTime = order === 'newest' && table.time !== undefined
  const sorted = byTime && table.time ? [table.time, ...table.keys] : table.keys
  if (byTime && !search) conditions.push(`t.${table.tail}`.replace(/ and /g, ' and t.'))
  if (!byTime && cursor) {
    const values = table.keys.map(({ type }, i) => `$${place + 1 + i}::${type}`)
    conditions.push(`(${table.keys.map(({ name }) => `t.${quote(name)}`).join(', ')}) < (${values.join(', ')})`)
  }
  const lines = [
    'select',
    `  ${shown.map(selectedAs).join(',\n  ')}`,
    `from ${table.name} t`,
    conditions.length > 0 ? `where ${conditions.join('\n  and ')}` : '',
    sorted.length > 0 ? `order by ${sorted.map(({ name }) => `t.${quote(name)} desc`).join(', ')}` : '',
    'limit $1::int',
    '',
  ]
  return lines.filter((line, at) => line !== '' || at === lines.length - 1).join('\n')
}

export type Page = {
  columns: Column[]
  items: Row[]
  nextCursor: string | null
  estimated: boolean
  sql: Read['sql'] & { text: string }
}

export async function readRows(reader: Reader, request: Request): Promise<Page> {
  const { limit, search, cursor, order } = request
  const table = await describeTable(reader, request.name, request.reveal)
  if (cursor && cursor.length !== table.keys.length) throw fail('BAD_CURSOR')
  const text = textForRows(table, request)
  const byTime = order === 'newest' && table.time !== undefined
  const parameters: Parameter[] = [limit + 1, ...(search ? [search.value] : []), ...(!byTime && cursor ? cursor : [])]
  const read = await reader.run(nameOf(request), text, parameters)
  const items = read.rows.slice(0, limit)
  const last = items.at(-1)
  const hasKey = table.keys.length > 0 && table.keys.every(({ shown }) => shown)
  const more = read.rows.length > limit && last !== undefined && hasKey && !byTime
  return {
    columns: table.columns,
    items,
    nextCursor: more && last ? encodeCursor(textKey(table.keys.map(({ name }) => last[name]))) : null,
    estimated: byTime && table.tailIsPart,
    sql: { ...read.sql, text },
  }
}

/** Name by which GET /admin/sql/:name returns the text. */
function nameOf({ name, order, reveal, search, cursor }: Request): string {
  return ['rows', name, order, search?.column ?? '', cursor ? 'after' : '', reveal ? 'revealed' : '']
    .join('-')
    .replace(/-+$/, '')
}

/** The text of a page by its name, as readRows runs it; undefined for other names. */
export async function textOfRows(reader: Reader, name: string): Promise<string | undefined> {
  const [, table = '', order, column, after, revealed] =
    /^rows-([a-z_]+\.[a-z_0-9]+)-(newest|key)(?:-(\w*))?(?:-(after)?)?(?:-(revealed)?)?$/.exec(name) ?? []
  if (order !== 'newest' && order !== 'key') return undefined
  const described = await describeTable(reader, table, revealed !== undefined)
  return textForRows(described, {
    order,
    search: column ? { column, value: '' } : undefined,
    cursor: after ? [] : undefined,
  })
}

/** SQL: short texts and plain values unchanged, everything else as text. */
function selectedAs({ name, type, cut }: Column): string {
  if (cut) return `${cut} as ${quote(name)}`
  const column = `t.${quote(name)}`
  if (/^(boolean|smallint|integer|real|double precision|timestamp with time zone)$/.test(type)) return column
  if (type === 'bytea') return `octet_length(${column}) || ' bytes' as ${quote(name)}`
  if (/^(bigint|xid8|oid|interval|pg_snapshot)$/.test(type)) return `${column}::text`
  return `left(${column}::text, ${MOST_CHARACTERS}) as ${quote(name)}`
}

/** Names of our tables are lower case; some are words of SQL. */
const quote = (name: string) => (/^[a-z_]+$/.test(name) && !WORDS.has(name) ? name : `"${name}"`)
const WORDS = new Set(['position', 'type', 'role', 'values', 'end', 'user', 'order', 'default'])
