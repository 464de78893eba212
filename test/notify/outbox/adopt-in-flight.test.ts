import pg from 'pg'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { createPool } from '../../../src/db/pool.ts'
import { checkInstallation } from '../../../src/notify/outbox/adopt.ts'
import { TestSocket } from '../../push/socket.ts'
import { inboxOf, noDrift, settled } from '../../settled.ts'
import { eventually, setup, type TestSystem } from '../../setup.ts'

const log = pino({ level: 'silent' })
const mark = 'adopted_by = pg_current_xact_id()'

/** Imitates a promotion: a row with another timeline, written by the transaction that it names. */
const promoted = `update notify.installation set timeline = '000000AA', ${mark}`
/** Imitates a restored dump of another cluster. */
const restored = `update notify.installation set system_identifier = 1`

/** The first new connection of a process compares the database with its stored identity. */
async function connectAnew({ databaseUrl }: TestSystem): Promise<void> {
  const fresh = createPool({ url: databaseUrl, size: 1, log, name: 'fresh', onConnect: checkInstallation })
  await fresh.query('select 1').finally(() => fresh.end())
}

/** A transaction of an application that has emitted an event to ana and is still open. */
async function emitAndWait(t: Test, system: TestSystem, anaId: string): Promise<pg.Client> {
  const emitter = new pg.Client({ connectionString: system.databaseUrl })
  await emitter.connect()
  t.teardown(() => emitter.end())
  await emitter.query('begin')
  await emitter.query(`select notify.emit('shop.order', array[$1::bigint], 'order:1', 'Shipped')`, [anaId])
  return emitter
}

t.test('events written during the promotion of a standby notify, and positions remain valid', async (t) => {
  const system = await setup(t, { worker: true })
  const ana = await system.as('ana')
  await settled(system)
  const emitter = await emitAndWait(t, system, ana.id)
  const epoch = await epochOf(system)
  const positions = 'select consumer, lane, from_id, adopted_id from notify.positions order by 1, 2'
  const before = (await system.pool.query(positions)).rows
  await system.pool.query(promoted)
  await connectAnew(system)
  t.not(await epochOf(system), epoch, 'clients fetch their list again')
  t.same((await system.pool.query(positions)).rows, before, 'nothing else changed')
  await emitter.query('commit')
  await eventually(async () => (await inboxOf(system, 'ana')).length === 1)
})

t.test(
  'a restored database is adopted only after its open transactions have ended, and their events become notifications',
  async (t) => {
    const system = await setup(t)
    const ana = await system.as('ana')
    const emitter = await emitAndWait(t, system, ana.id)
    await system.pool.query(restored)
    const adopted = connectAnew(system)
    await eventually(async () => {
      const { rows } = await system.pool.query(
        `select from pg_locks where relation = 'notify.outbox'::regclass and mode = 'ShareLock' and not granted`,
      )
      return rows.length > 0
    })
    await emitter.query('commit')
    await adopted
    const { startWorker } = await import('../../../src/worker/start.ts')
    const { tasks } = await import('../../../workers/index.ts')
    const worker = await startWorker(system.app, tasks)
    t.teardown(() => worker.close())
    await eventually(async () => (await inboxOf(system, 'ana')).length === 1)
  },
)

for (const [name, change] of [
  ['promoted', promoted],
  ['restored', restored],
] as const)
  t.test(
    `a database is ${name} repeatedly under load: every comment notifies, and every counter is right`,
    async (t) => {
      const system = await setup(t, { worker: true })
      const [author, ...others] = await Promise.all(Array.from({ length: 8 }, (_, i) => system.as(`user${i}`)))
      if (!author) throw new Error('there is nobody')
      const posts = await Promise.all(Array.from({ length: 20 }, (_, i) => author.post(`Post ${i}`)))
      await settled(system)
      let on = true
      const answers: Record<number, number> = {}
      const load = others.map(async (person, n) => {
        for (let i = 0; on; i += 1) {
          const path = `/posts/${posts[(i * 7 + n) % posts.length]?.id}/comment`
          const { status } = await person.request('POST', path, { body: 'hello' })
          answers[status] = (answers[status] ?? 0) + 1
        }
      })
      for (let round = 0; round < 5; round += 1) {
        const done = answers[201] ?? 0
        await eventually(() => (answers[201] ?? 0) > done + 20)
        await system.pool.query(change)
        await connectAnew(system)
      }
      on = false
      await Promise.all(load)
      await settled(system, 60)
      // Meanwhile writes are refused with 503.
      t.strictSame(
        Object.keys(answers).filter((status) => status !== '201' && status !== '503'),
        [],
        'no other answers',
      )
      const { rows: lost } = await system.pool.query(
        `select c.id from social.comments c where author_id <> $1 and not exists (
         select from notify.sources s where s.user_id = $1 and s.source_id = 'comment:' || c.id)`,
        [author.id],
      )
      t.same(lost, [], 'every committed comment notified')
      const { rows } = await system.pool.query('select count(*)::int as n from social.comments')
      t.equal(rows[0].n, answers[201], 'every answered one is there, and no other')
      await noDrift(t, system)
    },
  )

t.test('connections that survive a failover get the new epoch in lists and on sockets', async (t) => {
  const system = await setup(t, { worker: true, push: true })
  const ana = await system.as('ana')
  const socket = await TestSocket.open(t, `${system.url.replace('http', 'ws')}/ws`)
  socket.send({ type: 'hello', token: ana.accessToken })
  await socket.next('synced')
  const [epoch] = (await ana.get('/notifications')).state.split('.')
  await system.pool.query(promoted)
  await socket.next('reset')
  t.not((await ana.get('/notifications')).state.split('.')[0], epoch)
})

async function epochOf({ pool }: TestSystem): Promise<string> {
  return (await pool.query('select epoch from notify.installation')).rows[0].epoch
}
