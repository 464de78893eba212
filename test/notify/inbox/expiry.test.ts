import t, { type Test } from 'tap'
import { Expiry, findNextExpiry } from '../../../src/notify/inbox/expiry.ts'
import { grantAdmin } from '../../../src/social/accounts/admin.ts'
import { signIn, type TestClient } from '../../client.ts'
import { observedPool } from '../../plans/observe.ts'
import { TestSocket } from '../../push/socket.ts'
import { noDrift, settled } from '../../settled.ts'
import { eventually, setup, type TestSystem } from '../../setup.ts'
import { sized } from '../../size.ts'

/** The contract names a second; the rest is for a machine that is busy. */
const GONE_WITHIN_SECONDS = 10

/** Many chunks of sources. */
const LARGE = sized(100_000, 12_000)

async function live(t: Test, { url }: TestSystem, user: TestClient): Promise<TestSocket> {
  const socket = await TestSocket.open(t, `${url.replace('http', 'ws')}/ws`)
  socket.send({ type: 'hello', token: user.accessToken })
  await socket.next('synced')
  return socket
}

/** Inserts notifications that expire in this many seconds, each a group of `actors` people with their sources. */
async function fill({ pool }: TestSystem, userId: string, count: number, { seconds = 0, actors = 0 } = {}) {
  await pool.query(
    `insert into notify.notifications (user_id, id, modseq, grown_modseq, type, actor_count, expires_at)
     select $1, i, i, i, 'post.liked', $4, now() + make_interval(secs => $3) from generate_series(1, $2::int) i`,
    [userId, count, seconds, actors],
  )
  await pool.query(
    `insert into notify.sources (user_id, source_id, event_id, notification_id, actor_id, live, notified, decision)
     select $1, 'like:' || i || ':' || a, 1, i, a, true, true, 'shown' from generate_series(1, $2::int) i, generate_series(1, $3::int) a`,
    [userId, count, actors],
  )
  await pool.query(
    'update notify.inbox set modseq = $2::int, era = $2::int / 8, unread_count = $2::int, unseen_count = $2::int where user_id = $1::bigint',
    [userId, count],
  )
}

const isEmpty = (user: TestClient) => async () => (await user.get('/notifications/unread-count')).unreadCount === 0

t.test('an expired notification disappears from socket, list and counts within a second', async (t) => {
  const system = await setup(t, { worker: true, push: true })
  const ana = await system.as('ana')
  await system.as('rita')
  await grantAdmin(system.pool, 'rita')
  const admin = await signIn(system.url, 'rita')
  const socket = await live(t, system, ana)
  for (const [n, expiresIn] of [1, 2, 3600].entries())
    await admin.request(
      'POST',
      '/notifications/send',
      { recipientId: ana.id, title: `Code ${n}`, message: '', expiresIn },
      { 'idempotency-key': `code-${n}` },
    )
  const removed = () => socket.of('changes').flatMap(({ removes }) => removes)
  await eventually(() => removed().length === 2, 2 + GONE_WITHIN_SECONDS)
  t.strictSame(new Set(removed()), new Set(socket.upserts.slice(0, 2)))
  t.match(socket.of('changes').at(-1), { unreadCount: 1, unseenCount: 1 })
  t.match(await ana.get('/notifications'), { items: [{ title: 'Code 2' }], unreadCount: 1, unseenCount: 1 })
  t.match(await ana.get('/notifications/unread-count'), { unreadCount: 1 })
  const { rows } = await system.pool.query(
    `select decision from notify.sources where user_id = $1 and decision = 'expired'`,
    [ana.id],
  )
  t.equal(rows.length, 2)
  await noDrift(t, system)
})

t.test('a locked inbox delays the expiry of no other inbox', async (t) => {
  const system = await setup(t, { worker: true })
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  const holder = await system.pool.connect()
  t.teardown(() => holder.release())
  await fill(system, ben.id, 1, { seconds: 2 })
  await fill(system, ana.id, 1500, { seconds: 1 })
  await holder.query('begin')
  await holder.query('select from notify.inbox where user_id = $1 for update', [ana.id])
  await eventually(isEmpty(ben), 2 + GONE_WITHIN_SECONDS)
  t.match(await ana.get('/notifications/unread-count'), { unreadCount: 1500 })
  await holder.query('commit')
  await eventually(isEmpty(ana))
  t.same((await ana.get('/notifications')).items, [])
  await noDrift(t, system)
})

t.test('a notification that cannot be removed blocks no other', async (t) => {
  const system = await setup(t, { worker: true })
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  await system.pool.query(`
    create function refuse() returns trigger language plpgsql as $$
    begin
      raise exception 'not this one';
    end $$;
    create trigger refuse before delete on notify.notifications for each row when (old.id = 2) execute function refuse()`)
  await fill(system, ana.id, 3)
  await fill(system, ben.id, 1, { seconds: 1 })
  await eventually(isEmpty(ben), 1 + GONE_WITHIN_SECONDS)
  t.match(await ana.get('/notifications'), { items: [{ id: '2' }], unreadCount: 1 })
})

t.test('large groups expire a few per transaction, small ones together with many others', async (t) => {
  const system = await setup(t, { worker: true })
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  await system.pool.query(`
    create table chunks (gone int);
    create function note_chunk() returns trigger language plpgsql as $$
    begin
      insert into chunks select count(*) from gone;
      return null;
    end $$;
    create trigger note_chunk after insert on notify.tombstones referencing new table as gone for each statement execute function note_chunk()`)
  await fill(system, ana.id, 4, { seconds: 0.5, actors: 3000 })
  await eventually(isEmpty(ana))
  const chunks = async () => (await system.pool.query('select gone from chunks')).rows.map(({ gone }) => gone)
  const large = await chunks()
  t.ok(Math.max(...large) <= 2, `of groups of 3,000 at most two at a time: ${large}`)
  await fill(system, ben.id, 300, { seconds: 0.5 })
  await eventually(isEmpty(ben))
  t.equal((await chunks()).slice(large.length).length, 1, '300 without people at once')
  await settled(system)
  t.equal((await system.pool.query('select from notify.sources where live')).rowCount, 0)
  await noDrift(t, system)
})

t.test('expired notifications of a locked inbox are retried a few times a second, not at every poll', async (t) => {
  const system = await setup(t, { worker: true })
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  await system.pool.query(`
    create table added (at timestamptz default clock_timestamp());
    create function note_added() returns trigger language plpgsql as $$
    begin
      insert into added default values;
      return null;
    end $$;
    create trigger note_added after insert on graphile_worker._private_jobs for each row
    when (new.key = 'expire_notifications') execute function note_added()`)
  const holder = await system.pool.connect()
  t.teardown(() => holder.release())
  await fill(system, ana.id, 500, { seconds: 1 })
  await fill(system, ben.id, 1, { seconds: 2 })
  await holder.query('begin')
  await holder.query('select from notify.inbox where user_id = $1 for update', [ana.id])
  await eventually(isEmpty(ben), 2 + GONE_WITHIN_SECONDS)
  const times = async () =>
    (await system.pool.query<{ at: Date }>('select at from added order by at limit 8')).rows.map(({ at }) =>
      at.getTime(),
    )
  await eventually(async () => (await times()).length === 8)
  const [first = 0, ...later] = await times()
  const seconds = ((later.at(-1) ?? 0) - first) / 1000
  t.ok(seconds > 2, `eight jobs in ${seconds} s`)
  await holder.query('commit')
  await eventually(isEmpty(ana))
  await noDrift(t, system)
})

t.test('a very large group disappears at once, and its sources end in chunks', async (t) => {
  const system = await setup(t, { worker: true })
  const ana = await system.as('ana')
  await fill(system, ana.id, 1, { seconds: 3600, actors: LARGE })
  await system.pool.query(`
    create table ended (sources int);
    create function note_ended() returns trigger language plpgsql as $$
    begin
      insert into ended select count(*) from after;
      return null;
    end $$;
    create trigger note_ended after update on notify.sources referencing new table as after for each statement execute function note_ended();
    update notify.notifications set expires_at = now()`)
  await eventually(isEmpty(ana), GONE_WITHIN_SECONDS)
  t.same((await ana.get('/notifications')).items, [])
  await eventually(
    async () => (await system.pool.query('select from notify.sources where live limit 1')).rowCount === 0,
    60,
  )
  const { rows } = await system.pool.query('select sum(sources)::int as all, max(sources) as most from ended')
  t.equal(rows[0].all, LARGE)
  t.ok(rows[0].most <= 5000, `${rows[0].most} in the largest chunk`)
  await noDrift(t, system)
})

t.test('a send that expires before dispatch notifies nobody', async (t) => {
  const system = await setup(t, { worker: true })
  const ana = await system.as('ana')
  const emitter = await system.pool.connect()
  await emitter.query(
    `begin; select notify.emit('shop.code', array[${ana.id}::bigint], 'code:1', 'Your code', expires_at => now() + interval '1 second')`,
  )
  await emitter.query('select pg_sleep(1.1)')
  await emitter.query('commit')
  emitter.release()
  await settled(system)
  t.match(await ana.get('/notifications'), { items: [], unreadCount: 0 })
  const { rows } = await system.pool.query('select decision, notified from notify.sources where user_id = $1', [ana.id])
  t.same(rows, [{ decision: 'expired', notified: false }])
  t.equal((await system.pool.query('select from notify.tombstones')).rowCount, 0)
})

t.test('notifications removed under an old snapshot do not slow the next searches', async (t) => {
  const { pool, databaseUrl } = await setup(t)
  const old = await pool.connect()
  await old.query('begin isolation level repeatable read; select pg_current_xact_id()')
  await pool.query(
    `insert into notify.notifications (user_id, id, modseq, grown_modseq, type, expires_at)
     select i, 1, 1, 1, 'system', now() - interval '2 minutes' from generate_series(1, 10000) i`,
  )
  await pool.query('delete from notify.notifications')
  const observed = observedPool(databaseUrl, 'force_generic_plan')
  t.teardown(() => observed.pool.end())
  const expiry = new Expiry()
  const looks = () => observed.executed.filter(({ text }) => text.includes('expires_at')).map(({ pages }) => pages)
  await eventually(async () => {
    const values = [expiry.from, expiry.isNextLook()]
    const { rows } = await observed.pool.query<{ from: string }>({ name: 'next_expiry', text: findNextExpiry, values })
    if (rows[0]) expiry.note(rows[0].from)
    return looks().length >= 3 && values[1]
  })
  const [first = 0, ...later] = looks()
  t.ok(first > 100, `the first walks through them: ${first} pages`)
  t.ok(Math.max(...later) < 20, `the later ones do not: ${later} pages`)
  await old.query('rollback')
  old.release()
})
