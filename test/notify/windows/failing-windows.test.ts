import t from 'tap'
import type { App } from '../../../src/app.ts'
import { flushWindows } from '../../../src/notify/windows/flush.ts'
import { inboxApp, like, makePost, makeUsers } from '../dispatch/events.ts'

const OWNERS = 40

/** What keeps a window from being flushed, and mends it: data that cannot be read, a rule that stumbles, a row that is refused. */
const causes = [
  [
    'a time zone that is none',
    `insert into notify.preferences (user_id, document)
     values ($1, '{"dnd": {"enabled": true, "timeZone": "Nowhere", "windows": []}}')`,
    'delete from notify.preferences where user_id = $1',
    /Nowhere/,
  ],
  [
    'preferences that are none',
    `insert into notify.preferences (user_id, document) values ($1, 'null')`,
    'delete from notify.preferences where user_id = $1',
    /null/,
  ],
  [
    'a post that is none',
    `update notify.windows set thread_key = 'post:none' where user_id = $1`,
    `update notify.windows set thread_key = null where user_id = $1`,
    /none/,
  ],
] as const

/** Attempts before, and how long until the next: 32 seconds and an hour, a quarter less or more; some of it is over when we look. */
const backoffs = [
  [5, 1, 40],
  [12, 2600, 4500],
] as const

for (const [what, spoil, mend, says] of causes)
  t.test(`${what}: its window is retried with growing delays and delays no other`, async (t) => {
    const app = await inboxApp(t)
    const [bad = '', ...others] = await gathering(app)
    await app.pool.query(spoil, [bad])
    await app.pool.query('update notify.inbox set has_preferences = true where user_id = $1', [bad])

    for (const [attempts, shortest, longest] of backoffs) {
      await app.pool.query('update notify.windows set attempts = $1, due_at = now()', [attempts])
      await flushWindows(app)
      t.same(await shown(app), others, 'the others are flushed')
      const [window] = await failing(app)
      t.match(window, { user_id: bad, attempts: attempts + 1, last_error: says, waiting: 2 })
      t.ok(window && window.seconds > shortest && window.seconds < longest, `again in ${window?.seconds} seconds`)
    }

    await app.pool.query(mend, [bad])
    await app.pool.query('update notify.windows set due_at = now()')
    await flushWindows(app)
    t.same(await shown(app), [bad, ...others])
    t.same(await failing(app), [])
  })

t.test('database errors postpone all windows with growing but bounded delays', async (t) => {
  const app = await inboxApp(t)
  const owners = await gathering(app)
  await app.pool.query(
    `create function public.fill() returns trigger language plpgsql as $$ begin raise 'the disk is full' using errcode = '53100'; end $$;
     create trigger full_disk before insert on notify.notifications execute function public.fill()`,
  )
  for (const [attempts, shortest, longest] of [
    [0, 0, 1.3],
    [3, 1, 10.1],
    [12, 15, 37.6],
  ] as const) {
    await app.pool.query('update notify.windows set attempts = $1, due_at = now()', [attempts])
    await t.rejects(flushWindows(app), { code: '53100' })
    const windows = await failing(app)
    t.equal(windows.length, OWNERS)
    t.ok(
      windows.every((window) => window.attempts === attempts + 1 && window.last_error === 'the disk is full'),
      'people can see why',
    )
    t.ok(
      windows.some(({ seconds }) => seconds > shortest) && windows.every(({ seconds }) => seconds < longest),
      `again ${attempts + 1} times`,
    )
  }
  await flushWindows(app)
  t.ok(
    (await failing(app)).every(({ attempts }) => attempts === 13),
    'nobody is at them meanwhile',
  )
  await app.pool.query('drop trigger full_disk on notify.notifications')
  await app.pool.query('update notify.windows set due_at = now()')
  await flushWindows(app)
  t.same(await shown(app), owners)
  t.same(await failing(app), [])
})

/** Users who each have a window that is due, in which two wait. */
async function gathering(app: App): Promise<string[]> {
  await app.pool.query(`update notify.types set instant_threshold = 0, window_seconds = 60 where type = 'post.liked'`)
  const names = Array.from({ length: OWNERS + 2 }, (_, i) => `U${i}`)
  const [ana = '', ben = '', ...owners] = await makeUsers(app, names)
  const likes = owners.map(async (recipientId) => {
    const postId = await makePost(app, recipientId)
    return [ana, ben].map((actorId) => ({ postId, actorId, recipientId }))
  })
  await like(app, ...(await Promise.all(likes)).flat())
  await app.pool.query('update notify.windows set due_at = now()')
  return owners.sort((a, b) => Number(a) - Number(b))
}

async function shown({ pool }: App): Promise<string[]> {
  const { rows } = await pool.query<{ user_id: string }>(
    'select user_id from notify.notifications where actor_count = 2 order by user_id',
  )
  return rows.map((row) => row.user_id)
}

async function failing({ pool }: App) {
  const { rows } = await pool.query<{
    user_id: string
    attempts: number
    last_error: string
    waiting: number
    seconds: number
  }>(
    `select user_id, attempts, last_error, waiting::int, extract(epoch from due_at - now())::float8 as seconds from ops.failing_windows`,
  )
  return rows
}
