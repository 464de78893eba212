import t, { type Test } from 'tap'
import { settled } from '../../settled.ts'
import { eventually, setup, startSystem, type TestSystem } from '../../setup.ts'

const EVENTS = 300

/** Every insert of a notification for a user below `below` fails with this SQLSTATE. */
async function refuse({ pool }: TestSystem, code: string, condition: string): Promise<() => Promise<unknown>> {
  await pool.query(
    `create function public.refuse() returns trigger language plpgsql as $$ begin
       if ${condition} then raise 'not now' using errcode = '${code}'; end if;
       return new;
     end $$;
     create trigger refuse before insert on notify.notifications for each row execute function public.refuse()`,
  )
  return () => pool.query('drop trigger refuse on notify.notifications')
}

/** The dead letters for which an endpoint gets `dead_letter.created`. */
async function queuedLetters({ pool }: TestSystem): Promise<unknown[]> {
  const { rows } = await pool.query(
    `select d.event_id, w.recipient_id = d.recipient_id as to_its_recipient from notify.webhook_deliveries w
     join ops.dead_letters d on d.id::text = w.data ->> 'deadLetterId' where w.event = 'dead_letter.created'`,
  )
  return rows
}

/** Users in one lane, each with one event that has not been read. */
async function writeEvents(t: Test): Promise<TestSystem> {
  const system = await setup(t)
  await system.pool.query(
    `insert into social.users (username, email, password_hash, display_name)
     select 'user_' || i, 'user_' || i || '@example.org', '!', 'User' from generate_series(1, ${EVENTS}) i;
     insert into notify.inbox (user_id) select id from social.users;
     update notify.positions set shard_from = 0, shard_to = 31 where consumer = 'notifications' and lane = 0;
     delete from notify.positions where consumer = 'notifications' and lane between 1 and 3;
     insert into notify.outbox (counted, action, source_id, type, recipient_id, data)
     select false, 'send', 'failing:' || id, 'system', id, '{"title": "Hello"}' from social.users;
     insert into notify.webhooks (endpoint, events) values ('http://127.0.0.1:1/', '{dead_letter.created}'), ('http://127.0.0.1:1/', '{delivery.failed}')`,
  )
  return system
}

async function countNotified({ pool }: TestSystem): Promise<number> {
  return (await pool.query('select from notify.notifications')).rowCount ?? 0
}

async function lane({ pool }: TestSystem) {
  const { rows } = await pool.query<{ failures: number; since: Date | null; error: string | null }>(
    `select p.failures, l.failing_since as since, l.last_error as error from ops.lag l
     join notify.positions p on p.consumer = l.consumer and p.lane = l.lane where l.consumer = 'notifications' and l.lane = 0`,
  )
  return rows[0] ?? { failures: 0, since: null, error: null }
}

t.test('a lane that always fails waits, reports it, and continues after the repair', async (t) => {
  const system = await writeEvents(t)
  const mend = await refuse(system, '42501', 'true')
  await startSystem(t, system.databaseUrl, { worker: true })
  const { failures, since, error } = await eventually(async () => {
    const state = await lane(system)
    return state.failures >= 4 && state
  })
  t.ok(since)
  t.equal(error, '10 consecutive events were set aside: not now')
  const { rowCount } = await system.pool.query('select from notify.pending')
  t.ok(Number(rowCount) <= 10 * (failures + 1), `${rowCount} events are pending after ${failures} runs`)
  const metrics = await (await fetch(`${system.url}/metrics`)).text()
  t.match(metrics, /ravenpost_lane_failing_seconds\{consumer="notifications",lane="0"\} (?!0\n)/)
  t.match(metrics, /ravenpost_lane_failing_seconds\{consumer="counters",lane="0"\} 0\n/)

  await mend()
  await system.pool.query('update notify.pending set due_at = now()')
  await settled(system, 40)
  t.equal(await countNotified(system), EVENTS)
  t.match(await lane(system), { failures: 0, since: null, error: null })
})

t.test('an event that blocks a lane is named, and an operator can skip it', async (t) => {
  const system = await writeEvents(t)
  const { rows } = await system.pool.query<{ id: string; user: string }>(
    `select id, recipient_id as user from notify.outbox order by shard, xid, id offset ${EVENTS / 2} limit 1`,
  )
  const [bad] = rows
  if (!bad) throw new Error('no event')
  const skip = async (id: string) => {
    const { rows } = await system.pool.query('select notify.skip_event($1, $2) as outcome', ['notifications', id])
    return rows[0].outcome
  }
  await t.rejects(skip(bad.id), { code: '22023' }, 'the lane has not failed')
  const mend = await refuse(system, '53200', `new.user_id = ${bad.user}`)
  await startSystem(t, system.databaseUrl, { worker: true })
  await eventually(async () => (await lane(system)).since)
  // Imitates a lane that has failed for minutes.
  await system.pool.query(`update notify.positions set failures = 10, retry_at = null where failures > 0`)
  await eventually(async () => (await lane(system)).error === `event ${bad.id}: not now`)
  t.equal(await countNotified(system), EVENTS / 2, 'those before it were notified')

  await t.rejects(skip('999999'), { code: '22023' })
  t.equal(await skip(bad.id), 'skipped')
  await settled(system)
  t.equal(await countNotified(system), EVENTS - 1)
  t.match(await lane(system), { failures: 0, since: null, error: null })
  const { rows: letters } = await system.pool.query('select id, event_id, last_error from ops.dead_letters')
  t.match(letters, [{ event_id: bad.id, last_error: 'skipped by hand' }])
  t.same(await queuedLetters(system), [{ event_id: bad.id, to_its_recipient: true }])

  await mend()
  await system.pool.query('select notify.replay_dead_letter($1)', [letters[0].id])
  await settled(system)
  t.equal(await countNotified(system), EVENTS)
})

t.test('an operator can skip a pending event', async (t) => {
  const system = await writeEvents(t)
  await refuse(system, 'P0001', `new.title = 'Hello' and new.user_id % ${EVENTS} = 7`)
  await startSystem(t, system.databaseUrl, { worker: true })
  const { event_id } = await eventually(async () => (await system.pool.query('select * from ops.pending')).rows[0])
  const { rows } = await system.pool.query(`select notify.skip_event('notifications', $1) as outcome`, [event_id])
  t.same(rows, [{ outcome: 'dead letter' }])
  await settled(system)
  t.match((await system.pool.query('select * from ops.dead_letters')).rows, [{ event_id }])
  t.same(await queuedLetters(system), [{ event_id, to_its_recipient: true }])
})

t.test('paused lanes are not read, show who paused them, and continue where they stopped', async (t) => {
  const system = await setup(t, { worker: true })
  const { pool, as, url } = system
  const [ana, ben] = [await as('ana'), await as('ben')]
  const post = await ana.post('Hello')
  await settled(system)
  const change = async (call: string) => (await pool.query(`select notify.${call} as lanes`)).rows[0].lanes
  const { rows: all } = await pool.query('select from notify.positions')
  const one = await change(`pause_lanes('counters')`)
  t.equal(one, 1)
  t.equal(await change('pause_lanes()'), all.length - one, 'those that are paused already do not count')
  await ben.like(post.id)
  await ben.follow(ana.id)
  const { rows: paused } = await pool.query(
    'select consumer, events::int, paused_by from ops.lag where paused_at is not null and events > 0 order by 1',
  )
  const { role } = (await pool.query('select current_user as role')).rows[0]
  t.match(paused, [
    { consumer: 'counters', events: 2, paused_by: `${role}, ravenpost app` },
    { consumer: 'notifications', events: 2 },
  ])
  const metrics = await (await fetch(`${url}/metrics`)).text()
  t.match(metrics, /^ravenpost_lane_paused\{consumer="notifications",lane="99"\} 1$/m)

  // Another lane that is read meanwhile shows that the worker continues.
  t.equal(await change(`resume_lanes('notifications', 99)`), 1)
  await pool.query(
    `select notify.emit('shop.code', array[$1::bigint], 'code', title => 'Code', priority => 'critical')`,
    [ana.id],
  )
  await eventually(async () => (await ana.get('/notifications')).items.length === 1)
  t.equal(await change('resume_lanes()'), all.length - 1)
  await settled(system)
  t.match(await ana.get('/notifications'), { unreadCount: 3 })
  t.equal((await ana.get(`/posts/${post.id}`)).likeCount, 1)

  for (const call of [`pause_lanes('nobody')`, `pause_lanes('counters', 7)`, `resume_lanes(lane => 0)`])
    await t.rejects(change(call), { code: '22023' }, call)
  const { rows: audit } = await pool.query(
    `select action, target, after from notify.audit where action like 'lanes.%' order by id`,
  )
  t.same(audit, [
    { action: 'lanes.pause', target: 'counters', after: { lanes: 1 } },
    { action: 'lanes.pause', target: 'all', after: { lanes: all.length - 1 } },
    { action: 'lanes.resume', target: 'notifications/99', after: { lanes: 1 } },
    { action: 'lanes.resume', target: 'all', after: { lanes: all.length - 1 } },
  ])
  await pool.query('begin; set local role ravenpost_app; select notify.pause_lanes(), notify.resume_lanes(); rollback')
  for (const role of ['ravenpost_readonly', 'ravenpost_emitter'])
    await t.rejects(pool.query(`begin; set local role ${role}; select notify.pause_lanes()`), { code: '42501' }, role)
})
