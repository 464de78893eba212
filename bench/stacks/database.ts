import pg from 'pg'
import { withClient } from '../../src/db/client.ts'
import type { Machine } from '../machine/machine.ts'
import { usersOf, type World } from '../world.ts'

const TEMPLATE = 'template'
let number = 0

/** Creates a copy of the stack's template. The template is created at the first request. */
export async function freshDatabase(
  { postgres, past }: Machine,
  stack: string,
  world: World,
  make: (url: string) => Promise<void>,
): Promise<{ url: string; drop(): Promise<void> }> {
  const sizes = [usersOf(world), world.recipients, world.posts, past.events, past.notifications]
  const template = [TEMPLATE, stack, ...sizes].join('_').replaceAll(/\W/g, '_')
  const found = await postgres.query('select from pg_database where datname = $1', [template])
  if (found.length === 0) {
    await make(await postgres.createDatabase(template))
    await runOn(postgres.urlOf(template), 'vacuum analyze')
  }
  number += 1
  const name = `run_${number}`
  const url = await postgres.createDatabase(name, template)
  // The writes of the copy must not count as the stack's.
  await postgres.query('checkpoint')
  return { url, drop: () => postgres.dropDatabase(name) }
}

/** Drops large templates, to free disk space. They are created again at the next request. */
export async function dropTemplates({ postgres }: Machine): Promise<void> {
  const found = await postgres.query<{ datname: string }>(
    'select datname from pg_database where starts_with(datname, $1)',
    [`${TEMPLATE}_`],
  )
  for (const { datname } of found) await postgres.dropDatabase(datname)
}

/** The first row of a query. */
export function readRow<T extends pg.QueryResultRow>(url: string, text: string): Promise<T | undefined> {
  return withClient(url, async (client) => (await client.query<T>(text)).rows[0])
}

export function runOn(url: string, ...statements: string[]): Promise<void> {
  return withClient(url, async (client) => {
    for (const statement of statements) await client.query(statement)
  })
}

/** A pool for a few statements beside the stack's own. A connection that ends because its database is dropped is no error. */
export function smallPool(url: string): pg.Pool {
  const pool = new pg.Pool({ connectionString: url, max: 4 })
  pool.on('error', () => {})
  return pool
}
