import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type TObject, type TSchema, Type } from '@sinclair/typebox'
import type pg from 'pg'
import type { Logger } from 'pino'
import { within } from '../../base/deadline.ts'
import type { Config } from '../../config.ts'
import { createPool, isPooled, isQueryTimeout } from '../../db/pool.ts'
import { type Code, fail } from '../../errors.ts'
import { cutPage, pageOf, textKey } from '../paging.ts'

/** What a screen shows about its statement. `milliseconds`: duration of the statement, including the network. */
export const Sql = Type.Object({
  name: Type.String({ description: 'GET /admin/sql/:name has the text' }),
  parameters: Type.Array(Type.Union([Type.String(), Type.Number(), Type.Boolean(), Type.Null()]), {
    description: '$1, $2 and so on',
  }),
  milliseconds: Type.Number(),
  rows: Type.Integer(),
})
/** Errors of a read. */
export const readErrors = ['BAD_PARAMETER', 'READ_TOO_SLOW', 'CONSOLE_ROLE_MISSING'] as const satisfies Code[]

/** The schema of an object whose statement is shown. */
export function shown<T extends TObject>(object: T) {
  return Type.Object({ ...object.properties, sql: Sql })
}

/** The schema of a page whose statement is shown. */
export function shownPageOf<T extends TSchema>(item: T) {
  return Type.Object({ ...pageOf(item).properties, sql: Sql })
}
export type ShownPage = { items: never[]; nextCursor: string | null; sql: Read['sql'] }
export type Parameter = string | number | boolean | null
export type Row = Record<string, unknown>
export type Read = { rows: Row[]; sql: { name: string; parameters: Parameter[]; milliseconds: number; rows: number } }

const STATEMENT_MS = 2_000
/** Maximum number of connections: viewers of the console wait for each other and do not delay requests of users. */
export const CONNECTIONS = 2
const CLOSE_MS = 1_000

const BEGIN = `begin read only; set local role ravenpost_readonly; set local statement_timeout = '${STATEMENT_MS}ms'`

/** Reads for the console, as ravenpost_readonly, in read-only transactions, two seconds at most. */
export class Reader {
  readonly #pool: pg.Pool
  /** The statements by name: each file is the text that runs, and the text that is shown. */
  readonly #texts: ReadonlyMap<string, string>
  /** Answers that all viewers share for `keptMs`. */
  readonly #shared = new Map<string, Promise<Read>>()

  /** `folder`: of the files with the statements. */
  constructor({ config, log, folder }: { config: Config; log: Logger; folder: string }) {
    this.#texts = new Map(
      readdirSync(folder).map((file) => [file.replace(/\.sql$/, ''), readFileSync(join(folder, file), 'utf8')]),
    )
    const [url, pooled] = [config.databaseUrl, isPooled(config)]
    this.#pool = createPool({ url, size: CONNECTIONS, log, name: 'console', queryTimeoutMs: 2 * STATEMENT_MS, pooled })
  }

  /**
   * Returns the text of a statement.
   * @throws {AppError} SQL_NOT_FOUND
   */
  textOf(name: string): string {
    const text = this.#texts.get(name)
    if (text === undefined) throw fail('SQL_NOT_FOUND')
    return text
  }

  /** Runs the statement of a file. `keptMs`: how long the answer is shared with other viewers who ask for the same. */
  read(name: string, parameters: Parameter[] = [], keptMs = 0): Promise<Read> {
    const key = JSON.stringify([name, parameters])
    const kept = this.#shared.get(key)
    if (kept) return kept
    const read = this.run(name, this.textOf(name), parameters)
    if (keptMs > 0) {
      this.#shared.set(key, read)
      const forget = () => void setTimeout(() => this.#shared.delete(key), keptMs).unref()
      read.then(forget, forget)
    }
    return read
  }

  /**
   * Runs a statement.
   * @throws {AppError} READ_TOO_SLOW after two seconds, CONSOLE_ROLE_MISSING if the server may not become
   * ravenpost_readonly
   */
  async run(name: string, text: string, parameters: Parameter[]): Promise<Read> {
    const client = await this.#pool.connect()
    let broken = false
    try {
      await client.query(BEGIN)
      const begun = performance.now()
      const { rows } = await client.query<Row>(text, parameters)
      const milliseconds = Math.round((performance.now() - begun) * 100) / 100
      return { rows: rows.map(toJson), sql: { name, parameters, milliseconds, rows: rows.length } }
    } catch (error) {
      broken = isQueryTimeout(error)
      throw translate(error)
    } finally {
      if (!broken)
        await client.query('rollback').catch(() => {
          broken = true
        })
      client.release(broken)
    }
  }

  /** The response of a list: one more row than `limit` was read, to know whether there is another page. */
  async readPage(
    name: string,
    parameters: Parameter[],
    limit: number,
    keyOf: (last: Row) => (string | number)[] = ({ id }) => [String(id)],
  ): Promise<ShownPage> {
    const { rows, sql } = await this.read(name, parameters)
    const { items, nextCursor } = cutPage(rows, limit, keyOf)
    // The schema of the response checks the rows.
    return { items: items as never[], nextCursor, sql }
  }

  /** As `readPage`, shared with other viewers for `keptMs`, of a list whose sort key contains text. */
  async readTextPage(
    name: string,
    parameters: Parameter[],
    limit: number,
    keyOf: (last: Row) => unknown[],
    keptMs = 0,
  ): Promise<ShownPage> {
    const { rows, sql } = await this.read(name, parameters, keptMs)
    const { items, nextCursor } = cutPage(rows, limit, (last) => textKey(keyOf(last)))
    return { items: items as never[], nextCursor, sql }
  }

  /** The response of a read of one row. @throws {AppError} `missing` without it */
  async readOne(name: string, parameters: Parameter[], missing: Code, keptMs = 0): Promise<never> {
    const { rows, sql } = await this.read(name, parameters, keptMs)
    if (!rows[0]) throw fail(missing)
    return { ...rows[0], sql } as never
  }

  close(): Promise<unknown> {
    return within(CLOSE_MS, this.#pool.end()).catch(() => undefined)
  }
}

function translate(error: unknown): unknown {
  const { code, routine } = error as { code?: string; routine?: string }
  if (code === '57014' || isQueryTimeout(error)) return fail('READ_TOO_SLOW')
  if (code?.startsWith('22') && code !== '22023') return fail('BAD_PARAMETER')
  // Error codes: the role does not exist, or this login may not use it.
  if (code === '22023' || (code === '42501' && /role/i.test(routine ?? '')))
    return fail(
      'CONSOLE_ROLE_MISSING',
      'grant ravenpost_readonly to the role in DATABASE_URL; docs/console.md says how',
    )
  return error
}

function toJson(row: Row): Row {
  return Object.fromEntries(
    Object.entries(row).map(([name, value]) => [name, value instanceof Date ? value.toISOString() : value]),
  )
}
