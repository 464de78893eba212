import { pino } from 'pino'
import t from 'tap'
import { createPool } from '../../../src/db/pool.ts'
import { countWith } from '../../../src/notify/counters.ts'
import { dispatchWith } from '../../../src/notify/dispatch/dispatch.ts'
import { Dispatcher } from '../../../src/notify/outbox/dispatcher.ts'
import { NotificationTypes } from '../../../src/notify/types/types.ts'
import { actions } from '../../../src/social/actions.ts'
import { noDrift } from '../../settled.ts'
import { cloneDatabase } from '../../setup.ts'
import { sized } from '../../size.ts'

/** `BACKLOG=500000 npm test -- test/notify/outbox/backlog.test.ts` for the size that the product promises. */
const EVENTS = Number(process.env.BACKLOG ?? sized(50_000, 10_000))
const USERS = 5000
const POSTS = 10_000
const CHUNK = 1000

t.setTimeout(600_000)

t.test(`a backlog of ${EVENTS} events is drained`, async (t) => {
  const log = pino({ level: 'silent' })
  const pool = createPool({ url: await cloneDatabase(t), size: 12, log, name: 'test' })
  t.teardown(() => pool.end())
  await pool.query(people)
  for (let from = 0; from < EVENTS; from += CHUNK) await pool.query(likes, [from, Math.min(from + CHUNK, EVENTS) - 1])
  await pool.query('vacuum analyze')

  const batches: { events: number; at: number }[] = []
  const startedAt = performance.now()
  const consumers = {
    notifications: dispatchWith(new NotificationTypes(pool, log), actions),
    counters: countWith(actions),
  }
  const dispatcher = new Dispatcher(pool, log, consumers, ({ consumer, events }) => {
    if (consumer === 'notifications') batches.push({ events, at: performance.now() - startedAt })
  })
  await dispatcher.run()

  const timeOf = (part: number) => {
    if (part === 0) return 0
    let missing = part * EVENTS
    for (const { events, at } of batches) {
      missing -= events
      if (missing <= 0) return at / 1000
    }
    return Number.NaN
  }
  const fifths = [0, 1, 2, 3, 4].map((n) => EVENTS / 5 / (timeOf((n + 1) / 5) - timeOf(n / 5)))
  const [first = 0, , , , last = 0] = fifths
  t.comment(`events a second, by fifths: ${fifths.map(Math.round).join(', ')}; ${timeOf(1).toFixed(1)} s in all`)
  t.equal(
    batches.reduce((sum, { events }) => sum + events, 0),
    EVENTS,
  )
  t.comment(`the last fifth at ${Math.round((last / first) * 100)} % of the speed of the first`)
  const { rows } = await pool.query('select sum(events)::int as unread from ops.lag')
  t.same(rows, [{ unread: 0 }])
  await noDrift(t, { pool })
})

const people = `
  insert into social.users (username, email, password_hash, display_name, post_count)
  select 'user_' || i, 'user_' || i || '@example.org', '!', 'User', ${POSTS / USERS} from generate_series(1, ${USERS}) i;
  insert into notify.inbox (user_id) select id from social.users;
  insert into social.posts (author_id, body) select 1 + i % ${USERS}, 'Post' from generate_series(1, ${POSTS}) i`

/** Distinct likes: each row and its event, without recipient for one's own post. */
const likes = `
  with pairs as (
    select 1 + i % ${USERS} as user_id, 1 + (i % ${USERS} * 7 + i / ${USERS} * 251) % ${POSTS} as post_id
    from generate_series($1::int, $2::int) i
  ), liked as (insert into social.likes (user_id, post_id) select user_id, post_id from pairs)
  insert into notify.outbox (counted, action, source_id, type, recipient_id, actor_id, object_type, object_id, thread_key, group_key, data)
  select true, 'like', 'like:' || p.id || ':' || user_id, case when author_id <> user_id then 'post.liked' end,
    nullif(author_id, user_id), user_id, 'post', p.id::text, 'post:' || p.id, 'post.liked:' || p.id, jsonb_build_object('postId', p.id::text)
  from pairs join social.posts p on p.id = post_id`
