import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Type } from '@sinclair/typebox'
import type pg from 'pg'
import type { App } from '../../app.ts'
import { within } from '../../base/deadline.ts'
import { createPool, isPooled, isQueryTimeout } from '../../db/pool.ts'
import { fail } from '../../errors.ts'

/** What a screen shows of its statement. `milliseconds`: of the statement, with the way to the database and back. */
export const Sql = Type.Object({
  name: Type.String({ description: 'GET /admin/sql/:name has the text' }),
  parameters: Type.Array(Type.Union([Type.String(), Type.Number(), Type.Null()]), { description: '$1, $2 and so on' }),
  milliseconds: Type.Number(),
  rows: Type.Integer(),
})
export type Parameter = string | number | null
export type Row = Record<string, unknown>
export type Read = { rows: Row[]; sql: { name: string; parameters: Parameter[]; milliseconds: number; rows: number } }

const STATEMENT_MS = 2_000
/** So that viewers wait for each other, and requests of users for none of them. */
const CONNECTIONS = 2
const CLOSE_MS = 1_000
const FOLDER = join(import.meta.dirname, 'sql')

/** The statements of the console by name: each file is the text that runs, and the text that is shown. */
const texts = new Map(
  readdirSync(FOLDER).map((file) => [file.replace(/\.sql$/, ''), readFileSync(join(FOLDER, file), 'utf8')]),
)

/** @throws {AppError} SQL_NOT_FOUND */
export function textOf(name: string): string {
  const text = texts.get(name)
  if (text === undefined) throw fail('SQL_NOT_FOUND')
  return text
}

const BEGIN = `begin read only; set local role ravenpost_readonly; set local statement_timeout = '${STATEMENT_MS}ms'`

/** Reads for the console, as ravenpost_readonly, in read-only transactions, two seconds at most. */
export class Reader {
  readonly #pool: pg.Pool
  /** Answers that all viewers share for `keptMs` after they were read. */
  readonly #shared = new Map<string, Promise<Read>>()

  constructor({ config, log }: Pick<App, 'config' | 'log'>) {
    const [url, pooled] = [config.databaseUrl, isPooled(config)]
    this.#pool = createPool({ url, size: CONNECTIONS, log, name: 'console', queryTimeoutMs: 2 * STATEMENT_MS, pooled })
  }

  /** Runs a file. `keptMs`: for how long the answer serves everyone who asks for the same. */
  read(name: string, parameters: Parameter[] = [], keptMs = 0): Promise<Read> {
    const key = JSON.stringify([name, parameters])
    const kept = this.#shared.get(key)
    if (kept) return kept
    const read = this.run(name, textOf(name), parameters)
    if (keptMs > 0) {
      this.#shared.set(key, read)
      const forget = () => void setTimeout(() => this.#shared.delete(key), keptMs).unref()
      read.then(forget, forget)
    }
    return read
  }

  /** @throws {AppError} READ_TOO_SLOW after two seconds, CONSOLE_ROLE_MISSING where the server may not become ravenpost_readonly */
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

  close(): Promise<unknown> {
    return within(CLOSE_MS, this.#pool.end()).catch(() => undefined)
  }
}

function translate(error: unknown): unknown {
  const { code, routine } = error as { code?: string; routine?: string }
  if (code === '57014' || isQueryTimeout(error)) return fail('READ_TOO_SLOW')
  if (code?.startsWith('22') && code !== '22023') return fail('BAD_PARAMETER')
  // The role does not exist, or this login may not take it on.
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
