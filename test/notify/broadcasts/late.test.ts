import { pino } from 'pino'
import t from 'tap'
import { purge } from '../../../src/worker/retention.ts'
import { PASSWORD } from '../../client.ts'
import { noDrift } from '../../settled.ts'
import { eventually, setup } from '../../setup.ts'
import { act, addUsers, adminOf, draft, received, untilIn } from './broadcasts.ts'

const system = await setup(t, { worker: true })
const { pool } = system
const boss = await adminOf(system)

/** Locks these inboxes. Returns a function that releases them. */
async function hold(ids: string[]): Promise<() => Promise<void>> {
  const holder = await pool.connect()
  await holder.query('begin')
  await holder.query('select from notify.inbox where user_id = any($1::bigint[]) for update', [ids])
  return async () => {
    await holder.query('commit')
    holder.release()
  }
}

/** Lets the next chunk wait after it has written late recipients, until the returned function is called. */
async function holdChunk(): Promise<() => Promise<void>> {
  const holder = await pool.connect()
  await holder.query(`
    begin;
    create function notify.wait_for_test() returns trigger language plpgsql as $$
      begin perform pg_advisory_xact_lock(4711); return null; end $$;
    create trigger waits after insert on notify.broadcast_late execute function notify.wait_for_test();
    commit;
    select pg_advisory_lock(4711)`)
  return async () => {
    await holder.query('select pg_advisory_unlock(4711)')
    await eventually(async () => (await pool.query(waiting)).rowCount === 0)
    await holder.query('drop function notify.wait_for_test cascade')
    holder.release()
  }
}

const waiting = `select from pg_locks where locktype = 'advisory' and objid = 4711 and not granted`
const held = () => eventually(async () => (await pool.query(waiting)).rowCount === 1)
const partsEnded = () =>
  eventually(
    async () =>
      (await pool.query(`select from notify.fan_outs where kind = 'broadcast' and finished_at is null`)).rowCount === 0,
  )
const nothingPending = async () => (await pool.query('select from notify.pending')).rowCount === 0

/** `data` of the webhook events of a broadcast, in order. */
async function announced(path: string) {
  const { rows } = await pool.query(
    `select data from notify.webhook_deliveries where event = 'broadcast.finished' and data ->> 'broadcastId' = $1 order by id`,
    [path.split('/').at(-1)],
  )
  return rows.map(({ data }) => data)
}

t.before(() =>
  pool.query(
    `insert into notify.webhooks (endpoint, events, disabled_at, disabled_because) values ('https://example.org/', '{broadcast.finished}', null, null)`,
  ),
)

t.test('a cancel leaves out those whose inbox was held, and no longer counts them as processed', async (t) => {
  const ids = await addUsers(pool, 'cancelled', 60)
  const release = await hold(ids.slice(0, 1))
  const path = await draft(boss, { rule: { ids }, perSecond: 10 })
  await act(boss, path, 'send')
  await eventually(async () => (await boss.get(path)).progress.waiting === 1)
  await act(boss, path, 'cancel')
  await partsEnded()
  const { progress } = await boss.get(path)
  t.match(progress, { total: 60, waiting: 0, stored: progress.done, filtered: 0, suppressed: 0, failed: 0 })
  await release()
  t.ok(await nothingPending())
  t.same(await received(pool, path), { users: progress.done, rows: progress.done })
  t.match(await announced(path), [{ state: 'cancelled', total: 60, stored: progress.done }])
})

for (const action of ['cancel', 'recall'])
  t.test(`a ${action} during a chunk also stops those whose inbox the chunk found held`, async (t) => {
    const ids = await addUsers(pool, action, 3)
    const [release, releaseChunk] = [await hold(ids.slice(0, 1)), await holdChunk()]
    const path = await draft(boss, { rule: { ids }, perSecond: 2 })
    await act(boss, path, 'send')
    await held()
    await act(boss, path, action)
    await releaseChunk()
    await partsEnded()
    await release()
    await eventually(nothingPending)
    const isRecalled = action === 'recall'
    if (isRecalled) await eventually(async () => (await boss.get(path)).recallFinishedAt)
    t.match((await boss.get(path)).progress, { total: 3, done: 1, stored: 1, waiting: 0, recalled: isRecalled ? 1 : 0 })
    t.same(await received(pool, path), isRecalled ? { users: 0, rows: 0 } : { users: 1, rows: 1 })
    const [ended, ...more] = await announced(path)
    t.same(more, [])
    if (!isRecalled) t.match(ended, { state: 'cancelled', total: 3, stored: 1, failed: 0 }, 'with the last chunk')
    await noDrift(t, system)
  })

t.test('a broadcast that is paused during its last chunk ends', async (t) => {
  const ids = await addUsers(pool, 'paused', 2)
  const [release, releaseChunk] = [await hold(ids.slice(0, 1)), await holdChunk()]
  const path = await draft(boss, { rule: { ids }, perSecond: 100 })
  await act(boss, path, 'send')
  await held()
  await act(boss, path, 'pause')
  await releaseChunk()
  await partsEnded()
  await release()
  t.match((await untilIn(boss, path, 'finished')).progress, { total: 2, done: 2, stored: 2 })
  t.match(await announced(path), [{ state: 'finished', total: 2 }])
})

t.test(
  'progress remains what it was when late recipients and their dead letters are forgotten; a deleted one is none',
  async (t) => {
    const ids = await addUsers(pool, 'forgotten', 3)
    const [ana, ben] = [await system.as('ana'), await system.as('ben')]
    await ben.request('PUT', '/notifications/preferences', { types: { system: { inApp: false } } })
    const all = [...ids, ana.id, ben.id]
    const release = await hold(all)
    const path = await draft(boss, { rule: { ids: all } })
    await act(boss, path, 'send')
    await eventually(async () => (await boss.get(path)).state === 'finished')
    const dead = await pool.query(
      `update notify.pending set dead_at = now(), due_at = 'infinity' where recipient_id = $1`,
      [ids[2]],
    )
    t.equal(dead.rowCount, 1)
    await release()
    const before = (await untilIn(boss, path, 'finished')).progress
    t.match(before, { total: 5, done: 5, stored: 3, suppressed: 1, failed: 1 })
    t.equal((await ana.request('DELETE', `/users/${ana.id}`, { currentPassword: PASSWORD })).status, 204)
    await eventually(
      async () =>
        (
          await pool.query(
            'select from notify.inbox where user_id = $1 union all select from notify.sources where user_id = $1',
            [ana.id],
          )
        ).rowCount === 0,
    )
    const { done, stored, waiting: late } = (await boss.get(path)).progress
    t.same({ done, stored, late }, { done: 4, stored: 2, late: 0 })
    await pool.query(`update notify.pending set created_at = now() - interval '31 days' where dead_at is not null`)
    await pool.query(`update notify.broadcasts set finished_at = now() - interval '2 days' where state = 'finished'`)
    await purge({ ...system.app, log: pino({ level: 'silent' }) })
    t.equal((await pool.query('select from notify.broadcast_late')).rowCount, 0)
    t.match((await boss.get(path)).progress, { total: 5, done: 4, stored: 2, suppressed: 1, failed: 1, waiting: 0 })
  },
)
