import pg from 'pg'
import { pino } from 'pino'
import { test } from 'tap'
import { migrate } from '../../src/db/migrate.ts'
import { cloneDatabase } from '../setup.ts'

test('an owner who is no superuser and may not create roles has the doors too', async (t) => {
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
  await migrate(url.href, pino({ level: 'silent' }))
  const emitter = new pg.Client({ connectionString: asSuperuser, options: '-c role=ravenpost_emitter' })
  await emitter.connect()
  t.match((await emitter.query(`select notify.emit('system', '{1,2}', 's', 'Hello') as n`)).rows, [{ n: '2' }])
  await emitter.end()
})
