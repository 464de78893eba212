import fc, { type Arbitrary } from 'fast-check'
import { test } from 'tap'
import { setup } from '../setup.ts'
import { hostile, runs } from './arbitrary.ts'

type Signature = { name: string; types: string[] }

const extremes: Record<string, Arbitrary<unknown>> = {
  bigint: fc.constantFrom('0', '1', '-1', '9223372036854775807', '-9223372036854775808'),
  'bigint[]': fc.constantFrom('{}', '{1,2}', '{NULL}', '{1,1,1}', '{{1},{2}}', '{-9223372036854775808}'),
  text: fc.oneof(hostile, fc.constantFrom('post.liked', 'system', 'Europe/Berlin', 'inApp', 'normal', 'critical')),
  jsonb: fc.jsonValue().map((value) => JSON.stringify(value)),
  'timestamp with time zone': fc.constantFrom(
    'infinity',
    '-infinity',
    'epoch',
    '4713-01-01 BC',
    '294276-12-31',
    '2026-03-29 02:30:00',
  ),
}

/** Refused for what it was given or may not do: never an error inside PostgreSQL, a lost connection or a statement without end. */
const refusals = /^(21|22|23|2B|42501|42704|42P|P0001|0A000|54)/

test('SQL functions refuse what they cannot take, with an error that says so', async (t) => {
  const { pool } = await setup(t)
  const { rows: functions } = await pool.query<Signature>(
    `select p.oid::regproc::text as name, array(select format_type(a, null) from unnest(p.proargtypes) a) as types
     from pg_proc p where p.pronamespace in ('notify'::regnamespace, 'ops'::regnamespace) and p.prokind = 'f' and p.pronargs > 0`,
  )
  const calls = functions.map(({ name, types }) =>
    fc
      .tuple(...types.map((type) => fc.option(extremes[type] ?? hostile, { nil: null })))
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
