import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { like, makePost, makeUsers } from '../notify/dispatch/events.ts'
import { auditWindows, wrongs } from '../notify/windows/window-audit.ts'
import { eventually, setup, startSystem } from '../setup.ts'

t.setTimeout(120_000)

const OWNERS = 20
const LIKERS = 5

/** A statement that shows who waited then takes a second: long enough to stop the process that sent it. */
const slowly = `
  create function audit.dawdle() returns trigger language plpgsql as $$ begin perform pg_sleep(1); return null; end $$;
  create trigger dawdle after update on notify.sources for each statement execute function audit.dawdle()`

t.test(
  'after a worker is killed between flush and commit, the next one flushes and everybody is shown once',
  async (t) => {
    const system = await setup(t)
    const { app, pool } = system
    const ids = await makeUsers(
      app,
      Array.from({ length: OWNERS + LIKERS }, (_, i) => `U${i}`),
    )
    const [owners, likers] = [ids.slice(0, OWNERS), ids.slice(OWNERS)]
    const posts = await Promise.all(
      owners.map(async (recipientId) => ({ recipientId, postId: await makePost(app, recipientId) })),
    )
    await like(app, ...posts.flatMap((post) => likers.map((actorId) => ({ ...post, actorId }))))
    await auditWindows(pool)
    await pool.query(slowly)
    await pool.query('update notify.windows set due_at = now()')

    const script = fileURLToPath(new URL('worker-process.ts', import.meta.url))
    const child = spawn(process.execPath, [script, system.databaseUrl], { stdio: ['ignore', 'ignore', 'inherit'] })
    t.teardown(() => child.kill('SIGKILL'))
    const flushing = `select pid, state from pg_stat_activity
    where datname = current_database() and application_name = 'ravenpost worker' and query like 'update notify.sources%' and xact_start is not null`
    await eventually(async () => (await pool.query(flushing)).rowCount)
    child.kill('SIGSTOP')
    await eventually(async () => (await pool.query(flushing)).rows[0]?.state === 'idle in transaction', 9)
    t.match(await pool.query('select from audit.shown'), { rowCount: 0 }, 'nothing of it is committed')
    child.kill('SIGKILL')

    await pool.query('drop trigger dawdle on notify.sources')
    await startSystem(t, system.databaseUrl, { worker: true })
    await eventually(async () => (await pool.query('select from notify.windows')).rowCount === 0)
    t.same(await wrongs(pool), [])
    t.match(await pool.query('select from audit.grown'), { rowCount: OWNERS }, 'one update of each')
    const { rows } = await pool.query(
      'select distinct n.actor_count, i.unread_count from notify.notifications n join notify.inbox i using (user_id)',
    )
    t.same(rows, [{ actor_count: LIKERS, unread_count: 1 }])
  },
)
