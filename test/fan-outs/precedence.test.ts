import type pg from 'pg'
import t from 'tap'
import { createPost } from '../../src/posts/write.ts'
import { startWorker } from '../../src/worker.ts'
import { tasks } from '../../workers/index.ts'
import { noDrift, settled } from '../settled.ts'
import { eventually, setup } from '../setup.ts'
import { AUTHOR, fillAudience } from './audience.ts'

const AUDIENCE = 60_000
/** `BACKLOG=100000 npm test -- test/fan-outs/precedence.test.ts` for the size that the product promises. */
const BACKLOG = Number(process.env.BACKLOG ?? 20_000)

t.setTimeout(300_000)

t.test('an ordinary like and a critical event pass a fan-out to many', async (t) => {
  const system = await setup(t, { worker: true })
  await fillAudience(system.pool, AUDIENCE)
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  const post = await ana.post('Hello')
  await createPost(system.app, { userId: AUTHOR, requestId: 'test' }, 'Hello, everybody')
  await eventually(() => anyOf(system.pool, 'post.published'))
  await ben.like(post.id)
  await appendCritical(system.pool, ana.id)
  await eventually(() => anyOf(system.pool, 'post.liked'))
  await eventually(() => anyOf(system.pool, 'test.code'))
  const { rows } = await system.pool.query(
    'select count(*)::int as lanes from notify.fan_outs where finished_at is null',
  )
  t.ok(rows[0].lanes > 0, 'the fan-out is still under way')
  await settled(system, 200)
  await noDrift(t, system)
})

t.test('a critical event passes a backlog', async (t) => {
  const system = await setup(t)
  await fillAudience(system.pool, 1000)
  await system.pool.query(
    `insert into notify.outbox (counted, action, source_id, type, recipient_id)
     select false, 'test', 'backlog:' || i, 'test.backlog', 1 + i % 1000 from generate_series(1, $1::int) i`,
    [BACKLOG],
  )
  const worker = await startWorker(system.app, tasks)
  t.teardown(() => worker.close())
  await eventually(() => anyOf(system.pool, 'test.backlog'))
  await appendCritical(system.pool, '7')
  await eventually(() => anyOf(system.pool, 'test.code'))
  const { rows } = await system.pool.query('select sum(events)::int as events from ops.lag')
  const took = await system.pool.query(
    `select extract(epoch from n.created_at - e.created_at) * 1000 as ms from notify.notifications n, notify.outbox e
     where n.type = 'test.code' and e.type = 'test.code'`,
  )
  t.comment(`the critical event became a notification within ${Math.round(took.rows[0].ms)} ms`)
  t.ok(rows[0].events > 0, `${rows[0].events} events still wait`)
  await settled(system, 250)
  await noDrift(t, system)
})

async function anyOf(pool: pg.Pool, type: string): Promise<boolean> {
  const { rowCount } = await pool.query('select from notify.notifications where type = $1 limit 1', [type])
  return rowCount === 1
}

async function appendCritical(pool: pg.Pool, recipientId: string): Promise<void> {
  await pool.query(
    `insert into notify.outbox (critical, counted, action, source_id, type, recipient_id)
     values (true, false, 'test', 'code:1', 'test.code', $1)`,
    [recipientId],
  )
}
