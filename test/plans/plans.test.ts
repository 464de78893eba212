import type pg from 'pg'
import { pino } from 'pino'
import t from 'tap'
import { createPool } from '../../src/db/pool.ts'
import { cloneDatabase } from '../setup.ts'
import { onlyInFullSize } from '../size.ts'
import { type Executed, observedPool, type PlanMode } from './observe.ts'
import { operations } from './operations.ts'
import { fillRealSizes } from './real-sizes.ts'

const FEW = 100
const MANY = 1000
/** Ten times the rows may cost this many times the work; less than a page or row for each is no matter. */
const GROWTH = 15
/** Maximum cost per row, so that no statement reads a whole inbox for one notification. */
const MOST_PER_ROW = 300

t.setTimeout(600_000)

/**
 * Every statement that handles many rows, on a database of real sizes, with plans made for the batch and with generic
 * ones: no large table is read whole, and ten times the rows cost about ten times the work.
 */
t.test('no statement scans a whole large table, and work grows with the batch', onlyInFullSize, async (t) => {
  const url = await cloneDatabase(t)
  // Adopts the clone before it is filled, which takes a slow machine minutes.
  const admin = createPool({ url, size: 2, log: pino({ level: 'silent' }), name: 'test', queryTimeoutMs: 600_000 })
  t.teardown(() => admin.end())
  await fillRealSizes(admin)
  const large = await largeTables(admin)
  let base = 0
  for (const mode of ['force_custom_plan', 'force_generic_plan'] satisfies PlanMode[]) {
    const { pool, executed } = observedPool(url, mode)
    const [few, many] = [base, base + FEW]
    base += FEW + MANY
    for (const { name, prepare, run, walks } of operations) {
      const observe = async (n: number, after: number): Promise<Executed[]> => {
        await prepare?.(admin, n, after)
        executed.length = 0
        t.equal(await run(pool, n, after), n, `${mode}: ${name}: ${n} rows`)
        return [...executed]
      }
      const [ofFew, ofMany] = [await observe(FEW, few), await observe(MANY, many)]
      t.same(seqScans(ofMany, large), [], `${mode}: ${name}: no large table is read whole`)
      for (const measure of ['pages', 'rows'] as const) {
        const [few, much] = [sum(ofFew, measure), sum(ofMany, measure)]
        t.ok(much <= GROWTH * few + MANY, `${mode}: ${name}: work grows with the batch: ${few} → ${much} ${measure}`)
        if (!walks) t.ok(much <= MOST_PER_ROW * MANY, `${mode}: ${name}: a row is little work: ${much} ${measure}`)
      }
    }
    await pool.end()
  }
})

async function largeTables(pool: pg.Pool): Promise<Set<string>> {
  const { rows } = await pool.query<{ name: string }>(
    `select relname as name from pg_class where relkind = 'r' and reltuples > 10000 and relnamespace::regnamespace::text in ('social', 'notify')`,
  )
  return new Set(rows.map((row) => row.name))
}

function seqScans(executed: Executed[], large: Set<string>): string[] {
  return executed.flatMap(({ text, seqScans }) =>
    seqScans.filter((table) => large.has(table)).map((table) => `${table}: ${text}`),
  )
}

function sum(statements: Executed[], measure: 'pages' | 'rows'): number {
  return Math.round(statements.reduce((total, statement) => total + statement[measure], 0))
}
