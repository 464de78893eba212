import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import pg from 'pg'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { migrate } from '../../../src/migrate.ts'
import { inboxOf, noDrift, settled } from '../../settled.ts'
import { eventually, setup, startSystem, type TestSystem } from '../../setup.ts'
import { asPostgres, type Cluster, skipWithoutTools, startCluster, startStandby, tool } from './cluster.ts'

const log = pino({ level: 'silent' })

/** A post of ana: the like by ben is dispatched, those by cem and dia are not read yet, one of them in a transaction still open. */
async function leaveUnread(system: TestSystem): Promise<void> {
  const [ana, ben, cem] = [await system.as('ana'), await system.as('ben'), await system.as('cem')]
  const post = await ana.post('hello')
  const { startWorker } = await import('../../../src/worker/start.ts')
  const { tasks } = await import('../../../workers/index.ts')
  const worker = await startWorker(system.app, tasks)
  await ben.like(post.id)
  await settled(system)
  await worker.close()
  await cem.like(post.id)
  await cem.follow(ana.id)
}

async function epochOf(pool: pg.Pool): Promise<string> {
  return (await pool.query('select epoch from notify.installation')).rows[0].epoch
}

/** Checks after an adoption: nothing is lost or doubled, the epoch is new, and the log continues. */
async function goesOn(t: Test, databaseUrl: string, epochBefore: string): Promise<void> {
  const system = await startSystem(t, databaseUrl, { worker: true })
  t.match(
    await inboxOf(system, 'ana'),
    [
      { type: 'user.followed', actors: 'cem' },
      { type: 'post.liked', actors: 'cem, ben', actor_count: 2 },
    ],
    'nothing lost, nothing doubled',
  )
  t.not(await epochOf(system.pool), epochBefore, 'the epoch changed')
  const dia = await system.as('dia')
  const { rows } = await system.pool.query('select id, author_id from social.posts')
  await dia.like(rows[0].id)
  t.match(await inboxOf(system, 'ana'), [{ actors: 'dia, cem, ben', actor_count: 3 }, {}], 'and the log goes on')
  await noDrift(t, system)
}

t.test('a database copied by template continues', async (t) => {
  const system = await setup(t)
  await leaveUnread(system)
  const epoch = await epochOf(system.pool)
  await system.server.close()
  await system.app.wakeUps.close()
  await system.pool.end()
  const name = new URL(system.databaseUrl).pathname.slice(1)
  const admin = new pg.Client({ connectionString: process.env.TEST_DATABASE_URL })
  await admin.connect()
  await admin.query(`create database ${name}_copy template ${name}`)
  t.teardown(async () => {
    await admin.query(`drop database ${name}_copy with (force)`)
    await admin.end()
  })
  await goesOn(t, `${system.databaseUrl}_copy`, epoch)
})

t.test('a dump restored into a fresh cluster continues', skipWithoutTools, async (t) => {
  const [old, fresh] = [await startCluster(t), await startCluster(t)]
  await migrate(old.url, log)
  const system = await startSystem(t, old.url)
  await leaveUnread(system)
  // The fresh cluster has had fewer transactions: stored snapshots lie in its future.
  const dump = join(old.dir, 'dump')
  await tool('pg_dump', '--format=custom', `--file=${dump}`, old.url)
  await tool('pg_restore', '--no-owner', '--no-acl', `--dbname=${fresh.url}`, dump)
  await goesOn(t, fresh.url, await epochOf(system.pool))
})

type Subscription = { blue: Cluster; green: Cluster; to: pg.Pool }

/** As docs/operations.md describes it, until all tables are copied. */
async function subscribe(t: Test, blue: Cluster): Promise<Subscription> {
  const green = await startCluster(t)
  const schema = join(blue.dir, 'schema')
  await tool('pg_dump', '--format=custom', '--schema-only', `--file=${schema}`, blue.url)
  await tool('pg_restore', '--no-owner', '--no-acl', `--dbname=${green.url}`, schema)
  const from = new pg.Pool({ connectionString: blue.url, max: 1 })
  const to = new pg.Pool({ connectionString: green.url, max: 1 })
  t.teardown(() => Promise.all([from.end(), to.end()]))
  await from.query(publishAll)
  await to.query(`create subscription green connection '${blue.url}' publication everything`)
  await eventually(async () => {
    const { rows } = await to.query(`select srsubstate as state from pg_subscription_rel`)
    return rows.length > 0 && rows.every(({ state }) => state === 'r')
  }, 60)
  return { blue, green, to }
}

const publishAll = 'create publication everything for all tables with (publish_via_partition_root = true)'

t.test('a subscriber of logical replication continues', skipWithoutTools, async (t) => {
  const blue = await startCluster(t, '-c wal_level=logical')
  await migrate(blue.url, log)
  const system = await startSystem(t, blue.url)
  await leaveUnread(system)
  const { green, to } = await subscribe(t, blue)
  await to.query('drop subscription green')
  await goesOn(t, green.url, await epochOf(system.pool))
})

/** Changes inboxes over more than one era of them. */
async function useInboxes(t: Test, system: TestSystem): Promise<void> {
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  for (let i = 0; i < 9; i += 1) await ben.like((await ana.post(`post ${i}`)).id)
  await settled(system)
  t.equal((await ana.get('/notifications/unread-count')).unreadCount, 9, 'likes arrive')
  t.match(
    await ana.request('PATCH', '/notifications/mark-all-read'),
    { body: { updated: 9 } },
    'and are marked as read',
  )
  t.match(await ana.request('DELETE', '/notifications/1'), { status: 200 }, 'and removed')
}

/** What a subscriber must hold in the end. */
const inboxes = `select to_jsonb(i) as inbox, (select jsonb_agg(n order by id) from notify.notifications n where n.user_id = i.user_id) as notifications
  from notify.inbox i order by user_id`

t.test('a subscriber receives what users do meanwhile', skipWithoutTools, async (t) => {
  const blue = await startCluster(t, '-c wal_level=logical')
  await migrate(blue.url, log)
  const system = await startSystem(t, blue.url, { worker: true })
  await eventually(async () => (await system.pool.query('select from notify.delivery_log_days')).rowCount === 4)
  const { to } = await subscribe(t, blue)
  await useInboxes(t, system)
  const { rows } = await system.pool.query(inboxes)
  await eventually(async () => isDeepStrictEqual((await to.query(inboxes)).rows, rows), 60)
  await to.query('drop subscription green')
})

t.test('inboxes change while all tables are published, on each version of PostgreSQL', async (t) => {
  const system = await setup(t, { worker: true, windowSeconds: 0 })
  await system.pool.query(publishAll)
  await useInboxes(t, system)
  await noDrift(t, system)
})

t.test('a promoted standby continues', skipWithoutTools, async (t) => {
  const primary = await startCluster(t)
  await migrate(primary.url, log)
  const system = await startSystem(t, primary.url)
  await leaveUnread(system)
  const epoch = await epochOf(system.pool)
  const standby = await startStandby(t, primary)
  await primary.stop()
  await asPostgres('pg_ctl', ['promote', '-w', '-D', join(standby.dir, 'data')])
  await goesOn(t, standby.url, epoch)
})
