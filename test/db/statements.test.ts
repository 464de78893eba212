import fc from 'fast-check'
import { pino } from 'pino'
import { test } from 'tap'
import { columns } from '../../src/db/columns.ts'
import { createPool } from '../../src/db/pool.ts'
import { inTransaction, together } from '../../src/db/transaction.ts'
import { cloneDatabase } from '../setup.ts'

type Item = { id: string; at: Date | null }

const given = {
  id: ['bigint', ({ id }: Item) => id],
  seen_at: ['timestamptz', ({ at }: Item) => at],
} as const

test('columns() makes the unnest clause of a statement and the arrays that it is called with', async (t) => {
  const rows = columns<Item>(given)
  t.equal(rows.from, 'unnest($1::bigint[], $2::timestamptz[]) w (id, seen_at)')
  t.equal(rows.next, '$3')
  const at = new Date(0)
  t.same(
    rows.values([
      { id: '7', at },
      { id: '8', at: null },
    ]),
    ['{"7","8"}', '{"1970-01-01T00:00:00.000Z",NULL}'],
  )
  t.same(rows.values([]), ['{}', '{}'])
})

test('columns can begin at another parameter number, number the rows, and read from a context', async (t) => {
  const rows = columns<Item, Map<string, string>>(
    { ...given, name: ['text', ({ id }, names) => names.get(id) ?? null] },
    { first: 3, place: 'place' },
  )
  t.equal(rows.from, 'unnest($3::bigint[], $4::timestamptz[], $5::text[]) with ordinality w (id, seen_at, name, place)')
  t.equal(rows.next, '$6')
  t.equal(
    columns<Item>(given, { hidden: true }).from,
    'unnest((select $1::bigint[]), (select $2::timestamptz[])) w (id, seen_at)',
  )
  t.same(rows.values([{ id: '7', at: null }], new Map([['7', 'ana']])), ['{"7"}', '{NULL}', '{"ana"}'])
})

test('the database reads the rows of columns, and statements that are sent together run in their order', async (t) => {
  const pool = createPool({ url: await cloneDatabase(t), size: 1, log: pino({ level: 'silent' }), name: 'statements' })
  t.teardown(() => pool.end())
  const rows = columns<Item>(given, { place: 'place' })
  const found = await inTransaction(pool, async (client) => {
    const sent = {
      table: client.query('create temporary table seen (id bigint, seen_at timestamptz, place int) on commit drop'),
      inserted: client.query(
        `insert into seen select * from ${rows.from}`,
        rows.values([
          { id: '7', at: new Date(0) },
          { id: '8', at: null },
        ]),
      ),
      read: client.query<Item>('select id, seen_at as at, place from seen order by place'),
    }
    await together(Object.values(sent))
    return (await sent.read).rows
  })
  t.same(found, [
    { id: '7', at: new Date(0), place: 1 },
    { id: '8', at: null, place: 2 },
  ])
  type Any = { words: string | null; number: number; flag: boolean; data: string }
  const any = columns<Any>({
    words: ['text', ({ words }) => words],
    number: ['float8', ({ number }) => number],
    flag: ['boolean', ({ flag }) => flag],
    data: ['jsonb', ({ data }) => data],
  })
  const word = fc.string({ unit: fc.constantFrom('a', 'NULL', '"', '\\', '{', '}', ',', ' ', '\n', 'é', '🐦') })
  const item = fc.record<Any>({
    words: fc.option(word),
    number: fc.double({ noNaN: true }),
    flag: fc.boolean(),
    data: word.map((text) => JSON.stringify({ text })),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(item, { maxLength: 20 }), async (items) => {
      const { rows: read } = await pool.query(`select words, number, flag, data from ${any.from}`, any.values(items))
      t.same(
        read,
        items.map((item) => ({ ...item, number: item.number + 0, data: JSON.parse(item.data) })),
      )
    }),
    { numRuns: 50 },
  )
  const fails = inTransaction(pool, async (client) => {
    await together([client.query('select 1 / 0'), client.query('select 1')])
  })
  await t.rejects(fails, { code: '22012' }, 'the failure is reported, not what follows from it')
})
