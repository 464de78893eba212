import { pino } from 'pino'
import t, { type Test } from 'tap'
import { TcpProxy } from '../../faults/system/proxy.ts'
import { createPool } from '../../src/db/pool.ts'
import { inTransaction } from '../../src/db/transaction.ts'
import { createJobPool } from '../../src/worker/job-pool.ts'
import { cloneDatabase } from '../setup.ts'

/** Options of a pool behind a proxy that can swallow what goes through it. */
async function behindProxy(t: Test) {
  const url = new URL(await cloneDatabase(t))
  const proxy = await TcpProxy.to(Number(url.port))
  t.teardown(() => proxy.close())
  url.hostname = '127.0.0.1'
  url.port = String(proxy.port)
  return {
    proxy,
    options: { url: url.href, size: 1, log: pino({ level: 'silent' }), name: 'test', queryTimeoutMs: 500 },
  }
}

t.test('a transaction on a dead connection fails, and the pool replaces the connection', async (t) => {
  const { proxy, options } = await behindProxy(t)
  const pool = createPool(options)
  t.teardown(() => pool.end())
  await t.rejects(
    inTransaction(pool, async (client) => {
      await client.query('select 1')
      proxy.swallow()
      await client.query('select 2')
    }),
    { message: 'Query read timeout' },
  )
  t.same(await inTransaction(pool, async (client) => (await client.query('select 3 as n')).rows), [{ n: 3 }])
})

t.test('a statement that ends a job succeeds although its connection is dead', async (t) => {
  const { proxy, options } = await behindProxy(t)
  const { pool } = createJobPool(options)
  t.teardown(() => pool.end())
  const client = await pool.connect()
  await client.query('select 1')
  proxy.swallow()
  t.same((await client.query('select 2 as n')).rows, [{ n: 2 }])
})
