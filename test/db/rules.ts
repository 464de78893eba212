import type pg from 'pg'
import type { Test } from 'tap'

/** Rules that the catalogs of the database must fulfil. */
export type Rule = {
  name: string
  /** Selects what breaks the rule, as `what`. */
  violations: string
  /** A statement that breaks the rule, and the expected finding. */
  broken: [statement: string, what: string]
}

/** Each rule holds, and finds what breaks it. */
export async function checkRules(t: Test, pool: pg.Pool, rules: Rule[]): Promise<void> {
  const client = await pool.connect()
  t.teardown(() => client.release())
  const found = async ({ violations }: Rule) =>
    (await client.query<{ what: string }>(`${violations} order by 1`)).rows.map((row) => row.what)
  for (const rule of rules) {
    t.same(await found(rule), [], rule.name)
    const [statement, what] = rule.broken
    await client.query('begin')
    await client.query(statement)
    t.ok((await found(rule)).includes(what), `found when broken: ${rule.name}`)
    await client.query('rollback')
  }
}
