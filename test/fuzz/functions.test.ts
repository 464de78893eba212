import fc from 'fast-check'
import { test } from 'tap'
import { setup } from '../setup.ts'
import { runs } from './arbitrary.ts'
import { argumentOf, isOurs, refusals } from './sql-arguments.ts'

type Signature = { name: string; types: string[] }

test('SQL functions refuse invalid arguments with a clear error', async (t) => {
  const { pool } = await setup(t)
  const { rows: functions } = await pool.query<Signature>(
    `select p.oid::regproc::text as name, array(select format_type(a, null) from unnest(p.proargtypes) a) as types
     from pg_proc p where ${isOurs}`,
  )
  const calls = functions.map(({ name, types }) =>
    fc
      .tuple(...types.map((type) => fc.option(argumentOf(type), { nil: null })))
      .map((values) => ({ name, types, values })),
  )
  t.ok(calls.length > 3)
  const outcomes = new Set<string>()
  await fc.assert(
    fc.asyncProperty(fc.oneof(...calls), async ({ name, types, values }) => {
      const client = await pool.connect()
      await client.query(`begin; set local statement_timeout = '5s'`)
      try {
        await client.query(`select * from ${name}(${types.map((type, i) => `$${i + 1}::${type}`).join(', ')})`, values)
        outcomes.add('done')
      } catch (error) {
        const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
        if (!refusals.test(code)) throw error
        outcomes.add(code)
      } finally {
        await client.query('rollback')
        client.release()
      }
    }),
    { numRuns: runs, endOnFailure: true },
  )
  t.comment([...outcomes].join(' '))
  t.ok(outcomes.has('done'))
})
