import { join } from 'node:path'
import pg from 'pg'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { migrate } from '../../../src/migrate.ts'
import { adopt } from '../../../src/notify/outbox/adopt.ts'
import { signIn } from '../../client.ts'
import { inboxOf, noDrift, settled } from '../../settled.ts'
import { cloneDatabase, eventually, setup, startSystem, type TestSystem } from '../../setup.ts'
import { inboxApp, makeUsers } from '../dispatch/events.ts'
import { skipWithoutTools, startCluster, tool } from './cluster.ts'

const log = pino({ level: 'silent' })

/** Imitates the dump of a busier cluster: the row and the positions have that cluster's transaction ids. */
const restoredFromBusier = `
  update notify.installation set system_identifier = 1;
  update notify.positions set done = '99000000:99000000:', target = null, after_shard = null, after_xid = null, after_id = null`

async function connect(t: Test, url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  t.teardown(() => client.end())
  return client
}

t.test('a restored database accepts no events before a migration or start, and then loses none', async (t) => {
  // No api process, which would adopt within a second.
  const app = await inboxApp(t)
  const [ana] = await makeUsers(app, ['ana'])
  const application = await connect(t, app.config.databaseUrl)
  const emit = `select notify.emit('shop.order', array[${ana}], 'order:1', 'Shipped')`
  const retract = `select notify.retract(array[${ana}], 'order:0')`
  await application.query(restoredFromBusier)
  for (const role of ['postgres', 'ravenpost_emitter']) {
    await application.query(`set role ${role}`)
    for (const call of [emit, retract])
      await t.rejects(application.query(call), { code: '55000', message: /not adopted yet/ }, `${role}: ${call}`)
  }
  await application.query('reset role')
  await migrate(app.config.databaseUrl, log)
  await application.query(emit)
  const { startWorker } = await import('../../../src/worker/start.ts')
  const { tasks } = await import('../../../workers/index.ts')
  const worker = await startWorker(app, tasks)
  t.teardown(() => worker.close())
  const stored = async () =>
    (await application.query('select from notify.notifications where user_id = $1', [ana])).rowCount
  await eventually(async () => (await stored()) === 1)
})

t.test('an api process whose connections survive an exchange of the database adopts the new one', async (t) => {
  const system = await setup(t, { worker: true })
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  const post = await ana.post('hello')
  await settled(system)
  await system.pool.query(restoredFromBusier)
  await eventually(async () => (await ben.request('POST', `/posts/${post.id}/like`)).status === 200)
  await eventually(async () => (await inboxOf(system, 'ana')).length === 1)
})

t.test(
  'a database stays adopted after vacuum full and a template copy, but not after its row was written again',
  async (t) => {
    const url = await cloneDatabase(t)
    const client = await connect(t, url)
    const isAdopted = async () => (await client.query('select notify.is_adopted() as yes')).rows[0].yes
    t.ok(await isAdopted())
    await client.query('vacuum (full, freeze) notify.installation')
    t.ok(await isAdopted())
    await client.query('create table copy as select * from notify.installation; truncate notify.installation')
    await client.query('insert into notify.installation select * from copy')
    t.notOk(await isAdopted(), 'another transaction wrote the same row')
  },
)

t.test('a database still being restored is left unchanged', async (t) => {
  const url = await cloneDatabase(t)
  const client = await connect(t, url)
  await client.query('drop trigger outbox_adopted on notify.outbox')
  await client.query(restoredFromBusier)
  await t.rejects(migrate(url, log), /being restored/)
})

t.test('unread events of an adopted database are dispatched critical ones first', async (t) => {
  const system = await setup(t)
  const ana = await system.as('ana')
  const client = await connect(t, system.databaseUrl)
  await client.query(
    `select notify.emit('shop.order', array[${ana.id}], 'order:' || i, 'Shipped') from generate_series(1, 20) i`,
  )
  await client.query(`select notify.emit('shop.code', array[${ana.id}], 'code', 'Your code', priority => 'critical')`)
  await adopt(client, log, { onlyIfDifferent: false })
  const { rows } = await client.query(
    `select event ->> 'type' as type from notify.pending where consumer = 'notifications' order by due_at, id limit 2`,
  )
  t.match(rows, [{ type: 'shop.code' }, { type: 'shop.order' }])
})

t.test('sequences that lag behind, as after logical replication, are moved past existing ids', async (t) => {
  const system = await setup(t)
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  const post = await ana.post('hello')
  await ben.like(post.id)
  const client = await connect(t, system.databaseUrl)
  await client.query(`select setval(s.oid::regclass, 1, false) from pg_class s
                      where relkind = 'S' and relnamespace::regnamespace::text in ('social', 'notify')`)
  // Last, because the api process adopts within a second.
  await client.query(`update notify.installation set system_identifier = 1`)
  await migrate(system.databaseUrl, log)
  const { rows } = await client.query('select last_value from notify.outbox_id_seq')
  t.equal(rows[0].last_value, '2000001', 'in a partition that holds no row of before')
  await goesOn(t, await startSystem(t, system.databaseUrl, { worker: true }))
})

t.test('a dump can be restored into its own database', skipWithoutTools, async (t) => {
  const cluster = await startCluster(t)
  await migrate(cluster.url, log)
  const during = (work: (system: TestSystem) => Promise<void>) =>
    t.test('the system runs through backup and restore', async (t) => {
      const system = await startSystem(t, cluster.url, { worker: true })
      await work(system)
      await settled(system)
    })
  const like = async ({ url }: TestSystem, names: string[]) => {
    const ana = await signIn(url, 'ana')
    for (const name of names) await (await signIn(url, name)).like((await ana.post(`for ${name}`)).id)
  }
  let state = ''
  await during(async (system) => {
    for (const name of ['ana', 'ben', 'cem', 'dia']) await system.as(name)
    await like(system, ['ben'])
  })
  const dump = join(cluster.dir, 'dump')
  await tool('pg_dump', '--format=custom', `--file=${dump}`, cluster.url)
  await during(async (system) => {
    await like(system, ['cem'])
    await settled(system)
    state = (await (await signIn(system.url, 'ana')).get('/notifications')).state
  })
  // Some statements of --clean fail on partitions, and the restore continues.
  const restore = tool(
    'pg_restore',
    '--clean',
    '--if-exists',
    '--no-owner',
    '--no-acl',
    `--dbname=${cluster.url}`,
    dump,
  )
  await restore.catch((error) => t.match(error.stderr, /errors ignored on restore/))
  await during(async (system) => {
    await like(system, ['dia'])
    const ana = await signIn(system.url, 'ana')
    await eventually(async () => (await ana.get('/notifications')).items.length === 2)
    const after = (await ana.get('/notifications')).state
    t.not(after.split('.')[0], state.split('.')[0], 'another epoch')
    t.equal(after.split('.')[1], state.split('.')[1], 'in which the same number means something else')
    t.equal((await ana.request('GET', `/notifications/changes?since=${state}`)).status, 410)
  })
})

/** Actions of dia get new ids and cause notifications. */
async function goesOn(t: Test, system: TestSystem): Promise<void> {
  const dia = await system.as('dia')
  const ana = await signIn(system.url, 'ana')
  const post = await ana.post('another')
  await dia.like(post.id)
  await dia.comment(post.id, 'and a comment')
  await eventually(async () => (await inboxOf(system, 'ana')).some(({ actors }) => actors === 'dia'))
  await settled(system)
  await noDrift(t, system)
}
