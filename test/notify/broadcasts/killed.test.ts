import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { inOrderOfTime, noDrift, patiently } from '../../settled.ts'
import { eventually, setup, type TestSystem } from '../../setup.ts'
import { sized } from '../../size.ts'
import { act, addUsers, adminOf, draft, received, untilIn } from './broadcasts.ts'

t.setTimeout(900_000)

/** `RECIPIENTS=200000 KILLS=100` takes longer than a test of CI may. */
const RECIPIENTS = Number(process.env.RECIPIENTS ?? sized(30_000, 12_000))
const KILLS = Number(process.env.KILLS ?? sized(10, 3))

function spawnWorker(t: Test, { databaseUrl }: TestSystem): ChildProcess {
  const script = fileURLToPath(new URL('../../worker/worker-process.ts', import.meta.url))
  const child = spawn(process.execPath, [script, databaseUrl], { stdio: ['ignore', 'ignore', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  return child
}

t.test(
  'when the worker is killed repeatedly, a broadcast notifies everybody once, and its progress is right',
  async (t) => {
    const system = await setup(t, { windowSeconds: 0 })
    const { pool } = system
    const boss = await adminOf(system)
    const ana = await system.as('ana')
    await patiently(pool, async (client) => {
      await addUsers(client, 'reader', RECIPIENTS)
      await client.query(`update notify.inbox set reachable_by = '{email}' where user_id % 10 = 0`)
      await client.query('vacuum analyze social.users, notify.inbox')
    })
    const post = await ana.post('Hello')
    const path = await draft(boss, { everyone: true, perSecond: RECIPIENTS })
    await act(boss, path, 'send')
    const recipients = RECIPIENTS + 2
    const killedAt: number[] = []
    while (killedAt.length < KILLS) {
      const child = spawnWorker(t, system)
      const before = (await boss.get(path)).progress.done
      const share = (recipients * (killedAt.length + 1)) / (KILLS + 1)
      await eventually(async () => (await boss.get(path)).progress.done >= Math.min(share, before + 1), 120)
      // In the middle of a chunk, as far as that can be met.
      await eventually(
        async () => (await pool.query(inChunk)).rowCount || (await boss.get(path)).state === 'finished',
        120,
      )
      child.kill('SIGKILL')
      await boss.like(post.id).catch(() => undefined)
      const { done, stored, waiting } = (await boss.get(path)).progress
      t.same(
        { ...(await received(pool, path)), done },
        { users: stored, rows: stored, done: stored + waiting },
        `killed at ${done}`,
      )
      killedAt.push(done)
      if ((await boss.get(path)).state === 'finished') break
    }
    t.ok(
      killedAt.some((done) => done < recipients),
      `killed at ${killedAt.join(', ')} of ${recipients}`,
    )
    spawnWorker(t, system)
    await eventually(async () => (await ana.get('/notifications?type=post.liked')).items.length === 1, 120)
    t.pass('ordinary traffic is delivered')
    const { progress } = await untilIn(boss, path, 'finished', 600)
    t.match(progress, {
      total: recipients,
      done: recipients,
      stored: recipients,
      filtered: 0,
      suppressed: 0,
      failed: 0,
    })
    t.same(await received(pool, path), { users: recipients, rows: recipients })
    await noDrift(t, system)
    await inOrderOfTime(t, system)
  },
)

/** A chunk is running: its connection has a transaction that has notified somebody. */
const inChunk = `select from pg_stat_activity
  where datname = current_database() and application_name = 'ravenpost worker' and xact_start is not null and query like '%with plain as%'`
