import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type TSchema, Type } from '@sinclair/typebox'
import type { App } from '../../app.ts'
import { build, run } from '../../db/kysely.ts'
import { type Code, fail } from '../../errors.ts'
import { includesRole } from '../../http/identity.ts'
import { decodeCursor, decodeTextCursor, encodeCursor, PageQuery, TextPageQuery } from '../../http/paging.ts'
import { type Reader, type Row, readErrors, type ShownPage, Sql, shownPageOf } from '../../http/shown-sql/reader.ts'
import { audited } from '../../notify/audit/audited.ts'
import { Id } from '../../protocol/id.ts'
import { Badge, listOf, rowsOf, System } from './reads.ts'
import { Pipeline, type Viewer } from './stream.ts'
import { Column, readRows, textOfRows } from './tables.ts'

const forReaders = { role: 'reader' } as const

/** The part of a route's schema that describes it. */
const described = (summary: string, description: string, ...errors: Code[]) => ({
  tags: ['admin'],
  summary,
  description,
  answers: { 200: 'What the statement `sql` read' },
  errors: [...readErrors, ...errors] satisfies Code[],
})
const Params = Type.Object({ id: Id })
const closed = { additionalProperties: false }
const Time = Type.Optional(Type.String({ format: 'date-time' }))

/**
 * Cache time of responses in milliseconds, shared by all viewers of this process. Screens refresh every three seconds.
 */
const KEPT_MS = 1000
/** Cache time of responses that change slowly or cost more to compute. */
const KEPT_LONG_MS = 10_000
/** Cache time of the count of every table. */
const KEPT_OF_TABLES_MS = 3000
const MOST_VIEWERS = 50

/** The reads of the console. Each answer names its statement; `GET /admin/sql/:name` returns the text that ran. */
export function consoleRoutes(app: App): FastifyPluginAsyncTypebox {
  return async (server) => {
    const { reader } = app
    const pipeline = new Pipeline(app)
    server.addHook('preClose', () => pipeline.close())

    const list = (name: string, summary: string, description: string, row: TSchema, keptMs = KEPT_MS) =>
      server.get(
        `/admin/${name}`,
        {
          config: forReaders,
          schema: {
            ...described(summary, description),
            querystring: Type.Object({}, closed),
            response: { 200: listOf(row) },
          },
        },
        async () => answerOf(await reader.read(name, [], keptMs)),
      )
    list(
      'lanes',
      'List how far each lane has read the log',
      '`events` counts those it has not read. A lane that fails names its last error.',
      rowsOf.lanes,
    )
    list(
      'locks',
      'List the transactions that hold rows or tables',
      '`waiting` names the processes that wait for them. `state` and `since` are null where ravenpost_readonly may not see them (`grant pg_read_all_stats to ravenpost_readonly`).',
      rowsOf.locks,
    )
    list(
      'history',
      'List the events of each of the last 24 hours',
      'Events of the log, by the hour in which they were written.',
      rowsOf.history,
      KEPT_LONG_MS,
    )
    list(
      'invariants',
      'Check what must always hold',
      'Recounts a sample in the database. `rows` shows what contradicts an invariant.',
      rowsOf.invariants,
      KEPT_LONG_MS,
    )
    list(
      'tables',
      'List the tables with their sizes and what is new',
      '`estimated` marks counts that come from the statistics of PostgreSQL.',
      rowsOf.tables,
      KEPT_OF_TABLES_MS,
    )

    /** A list by `key`, columns whose values in the last row the statement takes, nulls for the first page, with a limit. */
    const pages = (name: string, summary: string, description: string, row: TSchema, key: readonly string[]) =>
      server.get(
        `/admin/${name}`,
        {
          config: forReaders,
          schema: {
            ...described(summary, description),
            querystring: TextPageQuery,
            response: { 200: shownPageOf(row) },
          },
        },
        async ({ query: { limit = 20, cursor } }) => {
          const after = decodeTextCursor(cursor) ?? key.map(() => null)
          return reader.readTextPage(
            name,
            [...after, limit + 1],
            limit,
            (row) => key.map((column) => row[column]),
            KEPT_MS,
          )
        },
      )
    pages(
      'jobs',
      'List the jobs by task and state',
      'Jobs of graphile-worker: ready, waiting for their time, running or failed.',
      rowsOf.jobs,
      ['task', 'state'],
    )
    pages(
      'workers',
      'List the processes, their heartbeats and the jobs of their workers',
      'The jobs of a worker that is silent for ten seconds are given to others.',
      rowsOf.workers,
      ['role', 'host', 'pid'],
    )
    pages(
      'webhooks',
      'List the webhooks and what waits for them',
      'Without URLs and secrets. `waiting` counts messages that are not sent yet.',
      rowsOf.webhooks,
      ['id'],
    )
    pages(
      'breakers',
      'List the circuit breakers',
      'One for each mail server and push service, in each process. An open one sends nothing until `secondsUntilTrial` has passed.',
      rowsOf.breakers,
      ['role', 'process', 'name'],
    )
    pages(
      'settings',
      'List the retention times and limits in force',
      '`setBy` is the environment variable, table or constant that sets the value.',
      rowsOf.settings,
      ['name', 'role'],
    )

    server.get(
      '/admin/system',
      {
        config: forReaders,
        schema: {
          ...described(
            'Get what is not delivered yet, what fails, and the processes that work on it',
            'Everything on it is 0 in a healthy system that is idle, but sizes and processes.',
          ),
          querystring: Type.Object({}, closed),
          response: { 200: System },
        },
      },
      async () => rowAnswerOf(await reader.read('system', [], KEPT_MS)),
    )
    server.get(
      '/admin/pending',
      {
        config: forReaders,
        schema: {
          ...described(
            'List the events that wait for another attempt',
            'Events that failed alone, next attempt first. After the last one they are dead letters.',
          ),
          querystring: PageQuery,
          response: { 200: shownPageOf(rowsOf.pending) },
        },
      },
      async ({ query }) => readFrom(reader, 'pending', query),
    )
    server.get(
      '/admin/deliveries',
      {
        config: forReaders,
        schema: {
          ...described('List mails and pushes that wait, or that are finished', 'Shows no content.'),
          querystring: Type.Object(
            {
              show: Type.Optional(
                Type.Unsafe<'waiting' | 'finished'>({
                  type: 'string',
                  enum: ['waiting', 'finished'],
                  default: 'waiting',
                }),
              ),
              ...PageQuery.properties,
            },
            closed,
          ),
          response: { 200: shownPageOf(rowsOf.deliveries) },
        },
      },
      async ({ query: { show = 'waiting', ...query } }) => readFrom(reader, `deliveries-${show}`, query),
    )
    server.get(
      '/admin/advice',
      {
        config: forReaders,
        schema: {
          ...described(
            'List the settings of the database server that cost something',
            'Each with the reason and the statement that changes it, and transactions that hold up vacuum. As `ops.advice` in SQL and `npm run advise`.',
          ),
          querystring: Type.Object(
            {
              memory: Type.Optional(
                Type.String({
                  pattern: '^[1-9][0-9]{0,5} ?(MB|GB|TB)$',
                  examples: ['16GB'],
                  description:
                    'Memory of the machine that PostgreSQL runs on; without it, sizes are advised only when they show in its statistics',
                }),
              ),
            },
            closed,
          ),
          response: { 200: listOf(rowsOf.advice) },
        },
      },
      async ({ query: { memory = null } }) => answerOf(await reader.read('advice', [memory], KEPT_LONG_MS)),
    )

    ofUser(server, reader, app)
    tables(server, reader, app)
    stream(server, pipeline, app)

    server.get(
      '/admin/sql/:name',
      {
        config: forReaders,
        schema: {
          ...described(
            'Get the text of a statement of the console',
            'Each answer of the console names its statement in `sql`, with the parameters. Run in psql, it gives the same rows.',
            'SQL_NOT_FOUND',
            'TABLE_NOT_FOUND',
            'COLUMN_NOT_SEARCHABLE',
          ),
          params: Type.Object({ name: Type.String({ maxLength: 200, pattern: '^[a-z][\\w.-]*$' }) }),
          response: { 200: { description: 'The text', content: { 'text/plain': { schema: Type.String() } } } },
        },
      },
      async ({ params: { name } }, reply) =>
        reply.type('text/plain; charset=utf-8').send((await textOfRows(reader, name)) ?? reader.textOf(name)),
    )
  }
}

type From = { position: string | null; skipped: number }

/** A page of a list in the order of a time and an id, its `position`, which several rows can share: so the cursor counts those already shown. */
async function readFrom(
  reader: Reader,
  name: string,
  { limit = 20, cursor }: { limit?: number; cursor?: string },
): Promise<ShownPage> {
  const [time = null, id = null, skipped = 0] = decodeCursor(cursor, 3) ?? []
  const from = { position: time && `${time},${id}`, skipped: Number(skipped) }
  const { rows, sql } = await reader.read(name, [time, id, from.skipped, limit + 1], KEPT_MS)
  const { items, next } = cutAt(rows, limit, from)
  return { items, nextCursor: next && encodeCursor(next), sql }
}

/** The page of rows from a position on, and where the next one begins: its position, and how many rows of it were shown. */
function cutAt(rows: Row[], limit: number, from: From): { items: never[]; next: [string, number] | null } {
  const items = rows.slice(0, limit)
  const at = items.at(-1)?.position
  const shown = items.filter(({ position }) => position === at).length + (at === from.position ? from.skipped : 0)
  return { items: items as never[], next: rows.length > limit ? [String(at), shown] : null }
}

const nullUnlessSet = (part: string) => (part === '0' ? null : part)

type Server = Parameters<FastifyPluginAsyncTypebox>[0]

function ofUser(server: Server, reader: Reader, { pool }: App): void {
  /**
   * Finds a user by name or id.
   * @throws {AppError} USER_NOT_FOUND
   */
  const requireUser = async (id: string) => {
    const { count } = await run(pool, build.selectFrom('social.users').select('id').where('id', '=', id))
    if (count === 0) throw fail('USER_NOT_FOUND')
  }
  server.get(
    '/admin/users',
    {
      config: forReaders,
      schema: {
        ...described(
          'Find users by the beginning of their username, or by external id',
          'By username. Blocks hide nobody here.',
        ),
        querystring: Type.Object({ q: Type.String({ minLength: 1, maxLength: 200 }), ...PageQuery.properties }, closed),
        response: { 200: shownPageOf(rowsOf.users) },
      },
    },
    async ({ query: { q, limit = 20, cursor } }) => {
      const [after = null] = decodeCursor(cursor, 1) ?? []
      return reader.readPage('users', [q.trim(), after, limit + 1], limit)
    },
  )
  server.get(
    '/admin/users/:id/timeline',
    {
      config: forReaders,
      schema: {
        ...described(
          'List what happened in an inbox, latest first',
          'Shows no content. The latest 200 notifications with all that happened to them, then the 200 before; of a large group 50 sources. `notify.timeline` in SQL reads everything.',
          'USER_NOT_FOUND',
        ),
        params: Params,
        querystring: PageQuery,
        response: { 200: shownPageOf(rowsOf.timeline) },
      },
    },
    async ({ params: { id }, query: { limit = 20, cursor } }) => {
      await requireUser(id)
      const [block = '0', time = '0', skipped = '0'] = decodeCursor(cursor, 3) ?? []
      const from = { position: nullUnlessSet(time), skipped: Number(skipped) }
      const { rows, sql } = await reader.read('timeline', [
        id,
        nullUnlessSet(block),
        from.position,
        from.skipped,
        limit + 1,
      ])
      const { items, next } = cutAt(rows, limit, from)
      const older = rows[0]?.olderThan
      const nextCursor = next ? encodeCursor([block, ...next]) : older ? encodeCursor([String(older), 0, 0]) : null
      return { items, nextCursor, sql }
    },
  )
  server.get(
    '/admin/users/:id/explain',
    {
      config: forReaders,
      schema: {
        ...described(
          'Explain what a user gets, or got, by which channel and why',
          'Without `notificationId`: what their preferences decide for each type and channel, now or at the time `at`. With it: what was decided then, on one page.',
          'USER_NOT_FOUND',
        ),
        params: Params,
        querystring: Type.Object({ at: Time, notificationId: Type.Optional(Id), ...TextPageQuery.properties }, closed),
        response: { 200: shownPageOf(rowsOf.explain) },
      },
    },
    async ({ params: { id }, query: { at, notificationId, limit = 20, cursor } }) => {
      await requireUser(id)
      if (notificationId !== undefined) return reader.readTextPage('why', [id, notificationId], Infinity, () => [])
      const after = decodeTextCursor(cursor) ?? [null, null]
      const parameters = [id, at ?? null, ...after, limit + 1]
      return reader.readTextPage('explain', parameters, limit, ({ type, channel }) => [type, channel])
    },
  )
  server.get(
    '/admin/users/:id/badge',
    {
      config: forReaders,
      schema: {
        ...described(
          'Recount the counts of an inbox',
          'The stored counts beside counts made now, of one snapshot. They are equal, or there is an error.',
          'USER_NOT_FOUND',
        ),
        params: Params,
        querystring: Type.Object({}, closed),
        response: { 200: Badge },
      },
    },
    async ({ params: { id } }) => {
      const read = await reader.read('badge', [id])
      if (!read.rows[0]) throw fail('USER_NOT_FOUND')
      return rowAnswerOf(read)
    },
  )
}

function tables(server: Server, reader: Reader, { pool }: App): void {
  const Page = Type.Object({
    columns: Type.Array(Column),
    items: Type.Array(Type.Record(Type.String(), Type.Unknown())),
    nextCursor: Type.Union([Type.String(), Type.Null()]),
    estimated: Type.Boolean({ description: 'Newest rows of a large table: from its last 4 MB' }),
    sql: Type.Object({ ...Sql.properties, text: Type.String() }),
  })
  server.get(
    '/admin/tables/:name',
    {
      config: forReaders,
      schema: {
        ...described(
          'List rows of a table, newest first or by key',
          'Private columns are masked, unless an operator sends `reveal`, which the audit log shows.',
          'TABLE_NOT_FOUND',
          'COLUMN_NOT_SEARCHABLE',
        ),
        params: Type.Object({ name: Type.String({ maxLength: 130, pattern: '^[a-z_]+\\.[a-z_0-9]+$' }) }),
        querystring: Type.Object(
          {
            order: Type.Optional(
              Type.Unsafe<'newest' | 'key'>({ type: 'string', enum: ['newest', 'key'], default: 'newest' }),
            ),
            column: Type.Optional(Type.String({ maxLength: 63, pattern: '^[a-z_]+$' })),
            value: Type.Optional(Type.String({ maxLength: 300 })),
            reveal: Type.Optional(Type.Boolean({ default: false })),
            limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 100, default: 50 })),
            cursor: TextPageQuery.properties.cursor,
          },
          closed,
        ),
        response: { 200: Page },
      },
    },
    async (request) => {
      const { params, query, user } = request
      const { order = 'newest', column, value, reveal = false, limit = 50, cursor } = query
      const { name } = params
      if (reveal && !includesRole(user.role, 'operator')) throw fail('FORBIDDEN')
      const search = column === undefined || value === undefined ? undefined : { column, value }
      // Writes the audit row before the read, so that nothing is read that the audit log does not show.
      if (reveal)
        await audited(pool, request, { action: 'table.reveal', target: `table:${name}`, after: { order, ...search } })
      return readRows(reader, { name, order, limit, reveal, search, cursor: decodeTextCursor(cursor) })
    },
  )
}

function stream(server: Server, pipeline: Pipeline, { revokedSessions }: App): void {
  server.get(
    '/admin/pipeline/stream',
    {
      config: forReaders,
      schema: {
        tags: ['admin'],
        summary: 'Stream what happens at each stage of the pipeline, once a second',
        description:
          'The first tick is the current state. A viewer that reads slowly misses ticks. Ends with the access token, and within seconds when the role is withdrawn.',
        querystring: Type.Object(
          {
            ticks: Type.Optional(
              Type.Integer({
                minimum: 1,
                maximum: 86_400,
                description: 'Ends after so many events; without it, with the access token',
              }),
            ),
          },
          closed,
        ),
        response: {
          200: {
            description: 'Server-sent events, a `tick` a second',
            content: { 'text/event-stream': { schema: Type.String() } },
          },
        },
      },
    },
    async ({ query: { ticks = Number.POSITIVE_INFINITY }, user }, reply) => {
      if (pipeline.viewers >= MOST_VIEWERS) throw fail('BUSY', 'Too many viewers of the pipeline')
      reply.header('x-accel-buffering', 'no').type('text/event-stream')
      const headers = reply.getHeaders() as Record<string, string>
      reply.hijack()
      reply.raw.writeHead(200, headers)
      reply.raw.flushHeaders()
      let left = ticks
      const viewer: Viewer = {
        userId: user.userId,
        show(tick) {
          const over = Date.now() >= user.expiresAt || revokedSessions.has(user.sessionId)
          // Skips seconds for a slow viewer, so that no memory is used for it.
          if (!over && !reply.raw.writableNeedDrain) reply.raw.write(`event: tick\ndata: ${JSON.stringify(tick)}\n\n`)
          left -= 1
          if (over || left <= 0) viewer.end()
        },
        end() {
          pipeline.leave(viewer)
          reply.raw.end()
        },
      }
      reply.raw.on('close', viewer.end)
      pipeline.join(viewer)
    },
  )
}

function answerOf({ rows, sql }: { rows: Record<string, unknown>[]; sql: unknown }) {
  return { items: rows, sql } as never
}

function rowAnswerOf({ rows: [row], sql }: { rows: Record<string, unknown>[]; sql: unknown }) {
  return { ...row, sql } as never
}
