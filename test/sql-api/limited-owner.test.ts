import pg from 'pg'
import { pino } from 'pino'
import { test } from 'tap'
import { migrate } from '../../src/migrate.ts'
import { cloneDatabase } from '../setup.ts'

test('a database owner who is no superuser and cannot create roles gets the SQL functions too', async (t) => {
  const admin = new pg.Client({ connectionString: await cloneDatabase(t) })
  await admin.connect()
  t.teardown(() => admin.end())
  const name = `limited_${process.pid}`
  await admin.query(`create role ${name} login password 'limited'`)
  await admin.query(`create database ${name} owner ${name}`)
  t.teardown(async () => {
    await admin.query(`drop database ${name} with (force)`)
    await admin.query(`drop role ${name}`)
  })
  const url = new URL(process.env.TEST_DATABASE_URL ?? '')
  url.pathname = `/${name}`
  const asSuperuser = url.href
  url.username = name
  url.password = 'limited'
  const owners = async () => {
    await migrate(url.href, pino({ level: 'silent' }))
    const client = new pg.Client({ connectionString: asSuperuser })
    await client.connect()
    const { rows } = await client.query(
      `select distinct proowner::regrole::text as owner from pg_proc where prosecdef and pronamespace = 'notify'::regnamespace
       union select relowner::regrole::text from pg_class where oid = 'notify.outbox'::regclass`,
    )
    await client.end()
    return rows
  }
  t.same(await owners(), [{ owner: name }], 'without more rights the log stays its own')
  const emitter = new pg.Client({ connectionString: asSuperuser, options: '-c role=ravenpost_emitter' })
  await emitter.connect()
  t.match((await emitter.query(`select notify.emit('system', '{1,2}', 's', 'Hello') as n`)).rows, [{ n: '0' }])
  await emitter.end()
  await admin.query(`grant ravenpost_log to ${name}`)
  t.same(await owners(), [{ owner: 'ravenpost_log' }], 'and is given away as soon as that is possible')
})
