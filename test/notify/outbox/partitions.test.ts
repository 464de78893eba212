import type pg from 'pg'
import { pino } from 'pino'
import t from 'tap'
import { maintainPartitions } from '../../../src/notify/outbox/partitions.ts'
import { inboxOf, settled } from '../../settled.ts'
import { eventually, setup } from '../../setup.ts'

const log = pino({ level: 'silent' })

async function partitions(pool: pg.Pool): Promise<string[]> {
  const { rows } = await pool.query<{ name: string }>(
    `select inhrelid::regclass::text as name from pg_inherits where inhparent = 'notify.outbox'::regclass order by length(inhrelid::regclass::text), 1`,
  )
  return rows.map((row) => row.name)
}

/** Attached partitions of which no id has been drawn. */
async function ahead(pool: pg.Pool): Promise<number> {
  const { rows } = await pool.query<{ ahead: number }>(
    `select count(*)::int as ahead from notify.outbox_partitions p
     join pg_inherits i on i.inhrelid = to_regclass('notify.' || p.name)
     where p.from_id > (select last_value from notify.outbox_id_seq)`,
  )
  return rows[0]?.ahead ?? 0
}

const toNextPartition = `select setval('notify.outbox_id_seq', (select min(to_id) from notify.outbox_partitions where to_id > (select last_value from notify.outbox_id_seq)), false)`

t.test('partitions are created ahead, and dropped after retention once every consumer has read them', async (t) => {
  const system = await setup(t, { worker: true })
  const { pool } = system
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  const post = await ana.post('hello')
  await ben.like(post.id)
  await settled(system)
  const [first] = await partitions(pool)
  const reader = await pool.connect()
  await reader.query('begin')
  await reader.query(`insert into notify.outbox (action, counted, source_id) values ('send', true, 'still open')`)

  await pool.query(toNextPartition)
  await maintainPartitions(pool, log, 7)
  await ben.follow(ana.id)
  await settled(system)
  t.ok((await ahead(pool)) >= 3, 'three ahead of the one in use')
  t.ok((await partitions(pool)).includes(String(first)), 'and the full one')

  await pool.query(
    `update notify.outbox_partitions set filled_at = now() - interval '8 days' where filled_at is not null`,
  )
  await maintainPartitions(pool, log, 7)
  t.ok((await partitions(pool)).includes(String(first)), 'kept while a writer of it is still open')

  await reader.query('commit')
  reader.release()
  await settled(system)
  // Dropped when every reader has passed it.
  await eventually(async () => {
    await pool.query(`update notify.positions set moved_at = now() - interval '2 minutes'`)
    await maintainPartitions(pool, log, 7)
    return !(await partitions(pool)).includes(String(first))
  })
  t.equal(
    (await pool.query('select from notify.outbox_partitions where name = $1', [String(first).replace('notify.', '')]))
      .rowCount,
    0,
  )

  const eve = await system.as('eve')
  await eve.like(post.id)
  t.match(await inboxOf(system, 'ana'), [{ actors: 'eve, ben' }, { type: 'user.followed' }], 'and the log goes on')
})

t.test('the current partition ends when its first event is older than a tenth of the retention', async (t) => {
  const system = await setup(t, { worker: true })
  const { pool } = system
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  await ben.follow(ana.id)
  await settled(system)
  const inUse = async () => {
    const { rows } = await pool.query<{ name: string }>(
      'select p.name from notify.outbox_partitions p, notify.outbox_id_seq s where s.last_value >= p.from_id and s.last_value < p.to_id',
    )
    return rows[0]?.name
  }
  const [before] = [await inUse()]
  await maintainPartitions(pool, log, 7)
  t.equal(await inUse(), before, 'not before')
  await pool.query(`update notify.outbox set created_at = now() - interval '17 hours'`)
  for (let run = 0; run < 5; run++) await maintainPartitions(pool, log, 7)
  t.not(await inUse(), before)
  t.equal(
    (await pool.query('select from notify.outbox_partitions where name = $1 and filled_at is not null', [before]))
      .rowCount,
    1,
  )
  await (await system.as('eve')).follow(ana.id)
  t.match(await inboxOf(system, 'ana'), [{ actors: 'eve, ben' }], 'and the log goes on')
})

t.test('creating partitions waits for no lock on the log and delays no insert', async (t) => {
  const { pool } = await setup(t)
  const dump = await pool.connect()
  await dump.query('begin')
  await dump.query('lock table notify.outbox in access share mode')
  await pool.query(toNextPartition)
  const maintaining = maintainPartitions(pool, log, 7)
  await pool.query(`insert into notify.outbox (action, counted, source_id) values ('send', true, 'beside it')`)
  await maintaining
  t.ok((await ahead(pool)) >= 3)
  await dump.query('rollback')
  dump.release()
})

t.test('a partition is dropped after a running dump ends, and inserts do not wait meanwhile', async (t) => {
  const { pool } = await setup(t)
  const [first] = await partitions(pool)
  await pool.query(toNextPartition)
  await maintainPartitions(pool, log, 7)
  await pool.query(
    `update notify.outbox_partitions set filled_at = now() - interval '8 days' where filled_at is not null`,
  )
  // Once every older transaction has ended, in all databases of the server.
  await eventually(async () => {
    const { rows } =
      await pool.query(`update notify.positions o set done = pg_current_snapshot() from notify.outbox_partitions p
      where p.filled_at is not null and p.filled_before < pg_snapshot_xmin(pg_current_snapshot()) returning 1`)
    return rows.length > 0
  })
  const dump = await pool.connect()
  await dump.query('begin')
  await dump.query('lock table notify.outbox in access share mode')
  let maintaining = true
  const maintained = maintainPartitions(pool, log, 7).finally(() => {
    maintaining = false
  })
  while (maintaining)
    await pool.query(`begin; set local lock_timeout = '100ms';
      insert into notify.outbox (action, counted, source_id) values ('send', true, 'beside it'); commit`)
  await maintained
  t.ok((await partitions(pool)).includes(String(first)), 'kept while the dump reads it')
  await dump.query('rollback')
  dump.release()
  await eventually(async () => {
    await maintainPartitions(pool, log, 7)
    return !(await partitions(pool)).includes(String(first))
  })
  t.pass('then dropped')
})

t.test("another session's advisory lock does not prevent new partitions", async (t) => {
  const { pool } = await setup(t)
  const stranger = await pool.connect()
  await stranger.query(`set role ravenpost_readonly; select pg_advisory_lock(hashtext('ravenpost outbox partitions'))`)
  await pool.query(toNextPartition)
  await maintainPartitions(pool, log, 7)
  t.ok((await ahead(pool)) >= 3)
  stranger.release(true)
})

t.test(
  'one process at a time maintains partitions; an abandoned lease expires, and a row locked for long is reported',
  async (t) => {
    const { pool } = await setup(t)
    const lines: string[] = []
    const noting = pino({}, { write: (line) => void lines.push(line) })
    const lease = (until: string) =>
      pool.query(`update notify.maintenance set lease = 'another', held_until = ${until}, finished_at = now()`)
    await pool.query(toNextPartition)
    await lease(`now() + interval '30 seconds'`)
    await maintainPartitions(pool, noting, 7)
    t.equal(await ahead(pool), 1, 'while another holds it, nothing is done')
    for (const until of [`now() - interval '1 second'`, `now() + interval '1 hour'`]) {
      await lease(until)
      await pool.query(toNextPartition)
      await maintainPartitions(pool, noting, 7)
      t.ok((await ahead(pool)) >= 3, `held until ${until}`)
    }
    t.same(lines, [])

    await pool.query(`update notify.maintenance set finished_at = now() - interval '11 minutes'`)
    const holder = await pool.connect()
    await holder.query('begin; select from notify.maintenance for update')
    await maintainPartitions(pool, noting, 7)
    t.match(lines, [/outbox partitions.*overdue by 10 minutes/])
    await holder.query('rollback')
    holder.release()
  },
)

t.test('without a worker, an api process creates partitions when the last one is in use', async (t) => {
  const system = await setup(t)
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  const post = await ana.post('hello')
  await system.pool.query(`select setval('notify.outbox_id_seq', max(to_id) - 2) from notify.outbox_partitions`)
  await eventually(async () => (await ahead(system.pool)) >= 3)
  await ben.like(post.id)
  await ben.comment(post.id, 'and on')
  const { rows } = await system.pool.query('select count(*)::int as n from notify.outbox')
  t.equal(rows[0].n, 3)
})

t.test('a write that finds no partition is answered with 503', async (t) => {
  const system = await setup(t)
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  const post = await ana.post('hello')
  await system.pool.query(`update notify.maintenance set lease = 'another', held_until = now() + interval '30 seconds'`)
  await system.pool.query(`select setval('notify.outbox_id_seq', max(to_id)) from notify.outbox_partitions`)
  t.match(await ben.request('POST', `/posts/${post.id}/like`), { status: 503, body: { code: 'BUSY' } })
  t.match(await ben.request('POST', `/posts/${post.id}/comment`, { body: 'no' }), {
    status: 503,
    body: { code: 'BUSY' },
  })
  await system.pool.query(`update notify.maintenance set held_until = now()`)
  await eventually(async () => (await ben.request('POST', `/posts/${post.id}/like`)).status === 200)
})
