import pg from 'pg'
import { test } from 'tap'
import { eventually, setup } from '../setup.ts'

test('jobs that wait for a lock occupy one slot per task, and leave one for dispatch', async (t) => {
  const { as, pool, databaseUrl } = await setup(t, { worker: true, windowSeconds: 0 })
  const [ana, ben] = [await as('ana'), await as('ben')]
  const post = await ana.post('hello')
  const holder = new pg.Client({ connectionString: databaseUrl })
  await holder.connect()
  await holder.query('begin')
  // Lists read from it, too.
  await holder.query('lock table social.media_contents in exclusive mode')
  const isWaiting = `select from pg_locks where relation = 'social.media_contents'::regclass and not granted`
  const jobs = async () => {
    const { rows } = await pool.query(
      `select count(*)::int as open, count(locked_at)::int as running from graphile_worker.jobs where task_identifier = 'clean_media'`,
    )
    return rows[0]
  }
  try {
    await pool.query(`select graphile_worker.add_job('clean_media') from generate_series(1, 20)`)
    await eventually(async () => (await pool.query(isWaiting)).rowCount === 1)
    await ben.like(post.id)
    // Not over REST: the list shows pictures, whose table is locked.
    const inbox = 'select from notify.notifications where user_id = $1'
    await eventually(async () => (await pool.query(inbox, [ana.id])).rowCount === 1)
    await eventually(async () => (await jobs()).open === 1)
  } finally {
    await holder.end()
  }
  await eventually(async () => (await jobs()).open === 0)
})
