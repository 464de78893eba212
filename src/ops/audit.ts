import type { Readable } from 'node:stream'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type Static, Type } from '@sinclair/typebox'
import type { App } from '../app.ts'
import { csvLine } from '../base/csv.ts'
import { decodeCursor, PageQuery } from '../http/paging.ts'
import { type Parameter, type Reader, readErrors, shownPageOf } from '../http/shown-sql/reader.ts'
import { streamOf } from '../http/shown-sql/stream.ts'
import { textOrNull } from '../protocol/nullable.ts'

const AuditEntry = Type.Object({
  id: Type.String({ description: 'Without gaps, in the order of the commits' }),
  at: Type.String({ format: 'date-time' }),
  actor: Type.String({ examples: ['user:7'], description: 'user:<id>, token:<id>, or role:<name> of the database' }),
  action: Type.String({ examples: ['webhook.delete'] }),
  target: textOrNull('Kind and id, for example webhook:7'),
  before: Type.Unknown({ description: 'The changed part before the change' }),
  after: Type.Unknown({ description: 'The changed part after the change, or the request' }),
  requestId: textOrNull('x-request-id of the call'),
  address: textOrNull('IP address of the caller'),
  databaseRole: Type.String(),
  application: Type.String({ description: 'application_name of the database session' }),
  hash: Type.String({ description: 'SHA-256 in hexadecimal digits, over this row and the hash of the one before' }),
})
type AuditEntry = Static<typeof AuditEntry>

const word = Type.Optional(Type.String({ minLength: 1, maxLength: 300 }))
const time = Type.Optional(Type.String({ format: 'date-time' }))
const filter = { actor: word, action: word, target: word, from: time, to: time }
const Filter = Type.Object(filter)
const AuditQuery = Type.Object({ ...PageQuery.properties, ...filter }, { additionalProperties: false })
const ExportQuery = Type.Object(
  {
    ...filter,
    format: Type.Optional(
      Type.Unsafe<'csv' | 'ndjson'>({ type: 'string', enum: ['csv', 'ndjson'], default: 'ndjson' }),
    ),
  },
  { additionalProperties: false },
)

const text = { schema: Type.Unsafe<Readable>(Type.String()) }
const lines = { description: 'Newest first', content: { 'application/x-ndjson': text, 'text/csv': text } }

const EXPORT_PAGE = 500

/** Routes of the audit log, which lists all administrative changes with their actors. */
export function auditRoutes({ reader }: App): FastifyPluginAsyncTypebox {
  return async (server) => {
    server.get(
      '/admin/audit',
      {
        config: { role: 'reader' },
        schema: {
          tags: ['admin'],
          summary: 'List what was changed by whom, newest first',
          description:
            'Append-only; each row contains a hash of the one before. `ops.audit_breaks` lists rows that were changed by force.',
          answers: { 200: 'A page of changes with before and after' },
          errors: [...readErrors],
          querystring: AuditQuery,
          response: { 200: shownPageOf(AuditEntry) },
        },
      },
      async ({ query: { limit = 20, cursor, ...which } }) => {
        const [before] = decodeCursor(cursor, 1) ?? []
        return reader.readPage('audit', parametersOf(which, before, limit + 1), limit)
      },
    )

    server.get(
      '/admin/audit/export',
      {
        config: { role: 'reader' },
        schema: {
          tags: ['admin'],
          summary: 'Export what was changed by whom, as CSV or JSON lines',
          description: 'Takes the filters of the list, without pages.',
          answers: { 200: 'All matching rows, newest first' },
          errors: [...readErrors],
          querystring: ExportQuery,
          response: { 200: lines },
        },
      },
      async ({ query: { format = 'ndjson', ...which } }, reply) => {
        const rows = await streamOf(exported(reader, which, format))
        return reply
          .type(format === 'csv' ? 'text/csv; charset=utf-8' : 'application/x-ndjson')
          .header('content-disposition', `attachment; filename="ravenpost-audit.${format}"`)
          .send(rows)
      },
    )
  }
}

/** Reads entries newest first, older than `before`, by the statement `audit`. */
function parametersOf(
  { actor, action, target, from, to }: Static<typeof Filter>,
  before: string | undefined,
  limit: number,
): Parameter[] {
  return [actor ?? null, action ?? null, target ?? null, from ?? null, to ?? null, before ?? null, limit]
}

/** Exports page by page at the client's pace, so that it holds no connection and no snapshot. */
async function* exported(
  reader: Reader,
  which: Static<typeof Filter>,
  format: 'csv' | 'ndjson',
): AsyncGenerator<string> {
  const columns = Object.keys(AuditEntry.properties) as (keyof AuditEntry)[]
  let head = format === 'csv' ? csvLine(columns) : ''
  let before: string | undefined
  for (;;) {
    const { rows } = await reader.read('audit', parametersOf(which, before, EXPORT_PAGE))
    const page = rows as AuditEntry[]
    const lines = page.map((row) =>
      format === 'csv' ? csvLine(columns.map((column) => row[column])) : `${JSON.stringify(row)}\n`,
    )
    yield head + lines.join('')
    head = ''
    before = page.at(-1)?.id
    if (page.length < EXPORT_PAGE) return
  }
}
