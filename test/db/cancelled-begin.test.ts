import { pino } from 'pino'
import t from 'tap'
import { createPool } from '../../src/db/pool.ts'
import { inTransaction, together } from '../../src/db/transaction.ts'
import { cloneDatabase } from '../setup.ts'

t.setTimeout(120_000)

const ENOUGH = 10

/** Cancels the current statement of a backend, some thousand times a second. */
const cancelForAWhile = `
  do $$ declare target int := (select pid from pg_stat_activity where datname = current_database() and application_name = 'ravenpost struck'); begin
    for i in 1..300 loop perform pg_cancel_backend(target); perform pg_sleep(0.0003); end loop;
  end $$`

t.test('a transaction whose BEGIN is cancelled leaves nothing on its connection', async (t) => {
  const url = await cloneDatabase(t)
  const [pool, other] = ['struck', 'other'].map((name) =>
    createPool({ url, size: 1, log: pino({ level: 'silent' }), name }),
  )
  if (!pool || !other) throw new Error('no pools')
  t.teardown(() => Promise.all([pool.end(), other.end()]))
  await pool.query('create table public.parts (part int)')

  let cancelled = 0
  const cancelling = (async () => {
    while (cancelled < ENOUGH) await other.query(cancelForAWhile)
  })()
  while (cancelled < ENOUGH)
    await inTransaction(pool, async (client) => {
      await together([1, 2].map((part) => client.query('insert into public.parts values ($1)', [part])))
      throw new Error('changed my mind')
    }).catch(({ code }) => {
      if (code === '57014') cancelled += 1
    })
  await cancelling
  t.same((await other.query('select count(*)::int as parts from public.parts')).rows, [{ parts: 0 }])
})
