import {
  CamelCasePlugin,
  type Compilable,
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresDialect,
  PostgresIntrospector,
  PostgresQueryCompiler,
} from 'kysely'
import type pg from 'pg'
import type { Queryable } from './client.ts'
import type { DB } from './tables.ts'

/** camelCase in TypeScript, snake_case in SQL; nested JSON is left as it is stored. */
const camelCase = new CamelCasePlugin({ maintainNestedObjectKeys: true })

export function createKysely(pool: pg.Pool): Kysely<DB> {
  return new Kysely<DB>({ dialect: new PostgresDialect({ pool }), plugins: [camelCase] })
}

/** Builds plain statements, checked by the types of the tables. `run` executes them. */
export const build = new Kysely<DB>({
  dialect: {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  },
  plugins: [camelCase],
})

/** Executes a built statement on a pool, or on the connection of a transaction. `count`: rows read or written. */
export async function run<T>(client: Queryable, statement: Compilable<T>): Promise<{ rows: T[]; count: number }> {
  const { sql, parameters, queryId } = statement.compile()
  const { rows, rowCount } = await client.query(sql, [...parameters])
  const result = await camelCase.transformResult({ queryId, result: { rows } })
  // The builder derives the type of a row from the statement.
  return { rows: result.rows as T[], count: rowCount ?? 0 }
}
