import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { inOrderOfTime, noDrift, patiently } from '../../settled.ts'
import { eventually, setup, type TestSystem } from '../../setup.ts'
import { sized } from '../../size.ts'
import { act, addUsers, adminOf, draft, received, untilIn } from './broadcasts.ts'

/** `RECIPIENTS=200000 KILLS=100` takes longer than a test of CI may; docs/broadcasts.md has its result. */
const RECIPIENTS = Number(process.env.RECIPIENTS ?? sized(30_000, 12_000))
const KILLS = Number(process.env.KILLS ?? sized(10, 3))
t.setTimeout(900_000 + KILLS * 30_000)

/** Two chunks per kill at least, so that each worker commits something before it is killed in the middle of another chunk. */
const perKill = Math.ceil(RECIPIENTS / KILLS / 2)
const perSecond = perKill < 2000 ? perKill : RECIPIENTS

function spawnWorker(t: Test, { databaseUrl }: TestSystem): ChildProcess {
  const script = fileURLToPath(new URL('../../worker/worker-process.ts', import.meta.url))
  const child = spawn(process.execPath, [script, databaseUrl], { stdio: ['ignore', 'ignore', 'inherit'] })
  t.teardown(() => child.kill('SIGKILL'))
  return child
}

t.test(
  'when the worker is killed repeatedly, a broadcast notifies everybody once, and its progress is right',
  async (t) => {
    const system = await setup(t, { windowSeconds: 0, env: { ACCESS_TOKEN_TTL: '86400' } })
    const { pool } = system
    const boss = await adminOf(system)
    const ana = await system.as('ana')
    await patiently(pool, async (client) => {
      await addUsers(client, 'reader', RECIPIENTS)
      await client.query(`update notify.inbox set reachable_by = '{email}' where user_id % 10 = 0`)
      await client.query('vacuum analyze social.users, notify.inbox')
    })
    const post = await ana.post('Hello')
    const path = await draft(boss, { everyone: true, perSecond })
    await act(boss, path, 'send')
    const recipients = RECIPIENTS + 2
    // Not by the API, whose polling would slow the worker down.
    const current = async (): Promise<{ done: number; state: string }> =>
      (await pool.query('select done, state from notify.broadcasts')).rows[0]
    const killedAt: number[] = []
    const measured: { lost: number; doubled: number; inChunk: boolean; recoveryMs: number }[] = []
    while (killedAt.length < KILLS) {
      const startedAt = performance.now()
      const child = spawnWorker(t, system)
      const before = await current()
      await eventually(async () => {
        const { done, state } = await current()
        return done > before.done || state === 'finished'
      }, 120)
      const recoveryMs = performance.now() - startedAt
      const share = (recipients * (killedAt.length + 1)) / (KILLS + 1)
      await eventually(async () => (await current()).done >= share, 120)
      // In the middle of a chunk, as far as that can be met.
      const met = await eventually(
        async () =>
          ((await pool.query(inChunk)).rowCount && 'chunk') || ((await current()).state === 'finished' && 'finished'),
        120,
      )
      child.kill('SIGKILL')
      await boss.like(post.id).catch(() => undefined)
      await eventually(async () => (await pool.query(ofWorkers)).rowCount === 0)
      const { done, stored, waiting } = (await boss.get(path)).progress
      const { users, rows } = await received(pool, path)
      t.same({ users, rows, done }, { users: stored, rows: stored, done: stored + waiting }, `killed at ${done}`)
      measured.push({ lost: stored - users, doubled: rows - users, inChunk: met === 'chunk', recoveryMs })
      killedAt.push(done)
      if (met === 'finished') break
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
    const { users, rows } = await received(pool, path)
    t.same({ users, rows }, { users: recipients, rows: recipients })
    await noDrift(t, system)
    await inOrderOfTime(t, system)
    measured.push({ lost: recipients - users, doubled: rows - users, inChunk: false, recoveryMs: 0 })
    t.comment(tableOf(measured.slice(0, -1), measured))
  },
)

/** A row for docs/broadcasts.md. Recovery: from the start of the next worker until its first chunk is committed. */
function tableOf(
  kills: { inChunk: boolean; recoveryMs: number }[],
  checks: { lost: number; doubled: number }[],
): string {
  const seconds = kills.map(({ recoveryMs }) => recoveryMs / 1000).sort((one, other) => one - other)
  const at = (share: number) => `${(seconds[Math.floor((seconds.length - 1) * share)] ?? 0).toFixed(1)} s`
  const sum = (of: 'lost' | 'doubled') => checks.reduce((total, check) => total + Math.abs(check[of]), 0)
  const inChunk = kills.filter((kill) => kill.inChunk).length
  return `| ${RECIPIENTS} | ${kills.length} | ${inChunk} | ${sum('lost')} | ${sum('doubled')} | ${at(0.5)} | ${at(0.95)} | ${at(1)} |`
}

/** Finds a running chunk: a connection with a transaction that has notified recipients. */
const inChunk = `select from pg_stat_activity
  where datname = current_database() and application_name = 'ravenpost worker' and xact_start is not null and query like '%with plain as%'`

const ofWorkers = `select from pg_stat_activity where datname = current_database() and application_name like 'ravenpost worker%'`
