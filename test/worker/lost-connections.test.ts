import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { OUTBOX_CHANNEL } from '../../src/base/wake-ups.ts'
import { Listener } from '../../src/db/listener.ts'
import { settled } from '../settled.ts'
import { eventually, setup, startSystem } from '../setup.ts'

t.test('a worker survives the loss of the connection on which it completes a job', async (t) => {
  const system = await setup(t, { windowSeconds: 0 })
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  const [post, other] = [await ana.post('hello'), await ana.post('and again')]
  await ben.like(post.id)
  const script = fileURLToPath(new URL('worker-process.ts', import.meta.url))
  const child = spawn(process.execPath, [script, system.databaseUrl], { stdio: ['ignore', 'ignore', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  await settled(system)

  const holder = await system.pool.connect()
  t.teardown(() => holder.release())
  await holder.query('begin')
  await holder.query('select from social.likes where post_id = $1 for update', [post.id])
  await ana.request('DELETE', `/posts/${post.id}`)
  const waiting = async (application: string, statement: string) => {
    const { rows } = await system.pool.query<{ pid: number }>(
      `select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'
         and application_name = $1 and query ilike $2`,
      [application, statement],
    )
    return rows[0]?.pid
  }
  await eventually(() => waiting('ravenpost worker', '%social.likes%'))
  // While its chunk waits for the like, the job of the fan-out cannot end: deleting its row is what waits next.
  await holder.query('lock table graphile_worker._private_jobs in share row exclusive mode')
  const ending = await eventually(() => waiting('ravenpost jobs', '%delete from%_private_jobs%'))
  await system.pool.query('select pg_terminate_backend($1)', [ending])
  await holder.query('commit')

  await ben.comment(other.id, 'and a comment')
  await settled(system)
  t.equal(child.exitCode, null, 'the process lives')
  const { rows } = await system.pool.query('select source_id from notify.sources where live')
  t.match(rows, [{ source_id: /^comment:/ }])
  t.equal(rows.length, 1)
})

t.test(
  'new events wake the worker of the same process directly, and other processes through the database',
  async (t) => {
    const { app, databaseUrl } = await setup(t)
    const other = await startSystem(t, databaseUrl)
    const hints: string[] = []
    const listener = new Listener(app, [OUTBOX_CHANNEL], {
      notification: (_channel, payload) => hints.push(payload),
      connected() {},
    })
    t.teardown(() => listener.close())
    await listener.start()
    let calls = 0
    app.wakeUps.onEvents(() => calls++)
    other.app.wakeUps.onEvents(() => t.fail('called without events of its own'))
    app.wakeUps.eventsAppended()
    app.wakeUps.eventsAppended()
    const [hint = ''] = await eventually(() => (hints.length > 0 ? hints : undefined))
    t.equal(calls, 1, 'once for the events of one turn')
    t.ok(app.wakeUps.isOwn(hint))
    t.notOk(other.app.wakeUps.isOwn(hint), 'another process reads the log')
  },
)
