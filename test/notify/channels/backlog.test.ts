import { test } from 'tap'
import { takeDeliveries } from '../../../src/notify/channels/deliveries.ts'
import { observedPool } from '../../plans/observe.ts'
import { setup } from '../../setup.ts'
import { dispatch, makeUsers } from '../dispatch/events.ts'

const BACKLOG = 100_000
/** Maximum rows that a search for due deliveries may read. */
const ROWS_AT_MOST = 20_000

test("with 100,000 due pushes of one user, another user's push is found at once, critical ones first", async (t) => {
  const { app, pool, databaseUrl } = await setup(t)
  const [mallory = '', ana = '', ben = ''] = await makeUsers(app, ['mallory', 'ana', 'ben'])
  await pool.query(
    `insert into notify.push_subscriptions (user_id, id, endpoint, p256dh, auth, session_id) select u, 'browser', 'https://push.example/' || u, 'key', 'secret', 1 from unnest($1::bigint[]) u`,
    [[mallory, ana, ben]],
  )
  await pool.query(`update notify.inbox set reachable_by = '{webPush}'`)
  await pool.query(
    `insert into notify.deliveries (user_id, notification_id, channel, target, grown_modseq, due_at)
     select $1, i, 'webPush', 'browser', i, now() - interval '10 minutes' from generate_series(1000, 1000 + $2::int - 1) i`,
    [mallory, BACKLOG],
  )
  await pool.query('analyze notify.deliveries')
  await pool.query(
    `select notify.emit('system', array[$1::bigint], 'news', 'Hello'), notify.emit('system', array[$2::bigint], 'code', 'Your code', priority => 'critical')`,
    [ana, ben],
  )
  await dispatch(app)
  const { pool: observed, executed } = observedPool(databaseUrl, 'force_generic_plan')
  t.teardown(() => observed.end())
  const waitOf = ({ userId }: { userId: string }) => ({ seconds: userId === mallory ? 60 : 0 })
  const { messages, more } = await takeDeliveries(observed, 'webPush', 180, waitOf)
  t.same(
    messages.map(({ userId, critical }) => [userId, critical]),
    [
      [ben, true],
      [ana, false],
    ],
  )
  t.ok(more, 'and more may be due')
  const rows = executed.reduce((sum, statement) => sum + statement.rows, 0)
  t.ok(executed.length >= 2 && rows > 500 && rows < ROWS_AT_MOST, `${rows} rows were looked at`)
  const { rows: left } = await pool.query(
    `select count(*) filter (where due_at > now())::int as "putOff", min(attempts) as attempts, count(send_id)::int as "sendIds"
     from notify.deliveries where user_id = $1`,
    [mallory],
  )
  t.match(left, [{ attempts: 0, sendIds: 0 }], 'what is put off was not tried')
  t.ok(left[0].putOff > 0)
})
