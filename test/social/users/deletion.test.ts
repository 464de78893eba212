import type pg from 'pg'
import { test } from 'tap'
import { maintainDeliveryLog } from '../../../src/notify/delivery-log/partitions.ts'
import { maintainPartitions } from '../../../src/notify/outbox/partitions.ts'
import { cleanMedia } from '../../../src/social/media/free.ts'
import { purge } from '../../../src/worker/retention.ts'
import { PASSWORD, type TestClient } from '../../client.ts'
import { vapid } from '../../notify/channels/push-service.ts'
import { fillInbox } from '../../notify/dispatch/events.ts'
import { settled } from '../../settled.ts'
import { eventually, setup, type TestSystem } from '../../setup.ts'
import { uploaded } from '../media/files.ts'

const POINT = 'BGsX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKWT-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU'
/** No other number in the database has these digits. */
const FIRST_ID = 748_159_263

test('an export is complete, and a deletion leaves nothing of the user', async (t) => {
  // Mails are printed, so that there are deliveries.
  const config = { embedded: true, dataDir: t.testdir() }
  const system = await setup(t, { env: vapid, config, worker: true, windowSeconds: 0 })
  const { as, pool, app } = system
  await pool.query(`alter table social.users alter column id restart with ${FIRST_ID}`)
  const [zelda, ben] = [await as('zelda_quirk'), await as('ben')]
  await leaveTraces(system, zelda, ben, 'By zelda_quirk for @ben')
  await leaveTraces(system, ben, zelda, 'By ben')
  await pool.query(`update social.sessions set user_agent = 'browser of zelda_quirk' where user_id = $1`, [zelda.id])
  await pool.query(`select notify.emit('system', array[$1::bigint], 'letter', 'Dear zelda_quirk')`, [zelda.id])
  await settled(system, 60)

  const exported = await zelda.get('/auth/me/export')
  t.match(exported, {
    exportedAt: String,
    account: { id: zelda.id, email: 'zelda_quirk@example.org', role: 'user', emailVerified: true },
    preferences: { channels: { email: false } },
    sessions: [{ userAgent: 'browser of zelda_quirk' }],
    posts: [{ body: 'By zelda_quirk for @ben', mediaIds: [] }, { mediaIds: [String] }],
    comments: [{ body: 'zelda_quirk thanks' }, { body: 'zelda_quirk says so' }],
    likes: [{ postId: String }],
    following: [{ userId: ben.id, username: 'ben' }],
    followers: [{ userId: ben.id }],
    bookmarks: [{ postId: String }],
    blocks: [],
    mutes: [{ userId: ben.id, until: null }],
    mutedPosts: [{ postId: String }],
    bells: [{ userId: ben.id }],
    media: { length: 2 },
    subscriptions: [{ host: 'push.example.org' }],
    deliveries: [
      { target: 'emailChanging zelda_quirk@example.org', state: 'sent', notificationId: null },
      { target: 'newAddress' },
      { target: 'primary' },
      ...exported.deliveries.slice(3),
    ],
    notifications: { length: (await zelda.get('/notifications/history')).items.length },
  })
  t.ok(exported.deliveryLog.length > 0)
  t.ok(exported.notifications.some(({ title }: { title: string }) => title === 'Dear zelda_quirk'))
  t.same(await zelda.get('/notifications?limit=100').then(({ items }) => items.length > 0), true)

  t.match(await zelda.request('DELETE', `/users/${zelda.id}`), { status: 403, body: { code: 'WRONG_PASSWORD' } })
  t.match(await zelda.request('DELETE', `/users/${zelda.id}`, { currentPassword: 'a wrong one' }), { status: 403 })
  const before = await personOf(pool, zelda.id)
  t.ok(Object.keys(before).length > 20, Object.keys(before).join(' '))
  await pool.query('insert into social.blocks (user_id, other_id) values ($1, $2), ($2, $1)', [zelda.id, ben.id])
  t.equal((await zelda.deleteAccount()).status, 204)
  await settled(system, 60)
  await eventually(
    async () => (await pool.query('select from notify.fan_outs where finished_at is null')).rowCount === 0,
  )

  // The log is only added to, until its partition is dropped.
  t.same(await placesWith(pool, 'zelda_quirk'), ['notify.outbox_1'])
  t.same(Object.keys(await personOf(pool, zelda.id)), [
    'notify.fan_outs',
    'notify.outbox',
    'notify.sources',
    'social.rate_limits',
    'social.refresh_tokens',
    'social.sessions',
  ])
  t.ok('notify.inbox' in (await personOf(pool, ben.id)), 'others keep what is theirs')

  await age(pool)
  await eventually(async () => {
    await purge(app)
    await cleanMedia(app)
    await pool.query(`update notify.positions set moved_at = now() - interval '2 minutes'`)
    await settled(system)
    await maintainPartitions(pool, app.log, 1)
    await pool.query(
      `update notify.outbox_partitions set filled_at = now() - interval '8 days' where filled_at is not null`,
    )
    await maintainDeliveryLog(pool, app.log, 30)
    return Object.keys(await personOf(pool, zelda.id)).length === 0
  })
  t.same(await placesWith(pool, 'zelda_quirk'), [])
  t.same(await placesWith(pool, zelda.id), ['social.comments', 'social.users'], 'the number, in emptied rows')
  const { rows: comments } = await pool.query('select distinct body from social.comments where author_id = $1', [
    zelda.id,
  ])
  t.same(comments, [{ body: '' }])
})

test('an export contains every page of every list, in order, without repetition', async (t) => {
  const { as, pool, app } = await setup(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  await fillInbox(app, ana.id, 201)
  await pool.query(`insert into social.posts (author_id, body) select $1, n::text from generate_series(1, 401) n`, [
    ana.id,
  ])
  await pool.query('insert into social.posts (author_id, body) select $1, n::text from generate_series(1, 9) n', [
    ben.id,
  ])
  await pool.query('insert into social.likes (post_id, user_id) select id, $1 from social.posts', [ana.id])
  await pool.query(
    `insert into notify.deliveries (user_id, notification_id, channel, target, state, grown_modseq)
     select u, n / 3, case when n % 3 = 0 then 'email' else 'webPush' end, 'browser ' || n % 3, 'sent', 1
     from unnest(array[$1, $2]::bigint[]) u, generate_series(3, 605) n`,
    [ana.id, ben.id],
  )
  await maintainDeliveryLog(pool, app.log, 30)
  await pool.query(
    `insert into notify.delivery_log (recipient_id, notification_id, event, channel)
     select u, n, 'pushed', 'inApp' from unnest(array[$1, $2]::bigint[]) u, generate_series(1, 300) n`,
    [ana.id, ben.id],
  )
  const exported = await ana.get('/auth/me/export')
  const lengths = Object.entries<unknown[]>(exported).flatMap(([name, list]) =>
    Array.isArray(list) && list.length > 0 ? [[name, list.length]] : [],
  )
  t.same(Object.fromEntries(lengths), {
    sessions: 1,
    posts: 401,
    likes: 410,
    deliveries: 603,
    notifications: 201,
    deliveryLog: 300,
  })
  t.same(
    exported.posts.map(({ body }: { body: string }) => body),
    Array.from({ length: 401 }, (_, n) => String(n + 1)),
  )
  const of = ({ notificationId, channel, target }: Record<string, string>) => `${notificationId} ${channel} ${target}`
  t.equal(new Set(exported.deliveries.map(of)).size, 603)
})

test('an account without a password is deleted without one', async (t) => {
  const { as, pool } = await setup(t)
  const ana = await as('ana')
  await pool.query(`update social.users set password_hash = '!' where id = $1`, [ana.id])
  t.equal((await ana.request('DELETE', `/users/${ana.id}`)).status, 204)
})

test('ops.person covers every table that refers to users', async (t) => {
  const { pool } = await setup(t)
  const { rows } = await pool.query<{ place: string }>(
    `select distinct format('%s.%s', c.table_schema, c.table_name) as place
     from information_schema.columns c join information_schema.tables using (table_schema, table_name)
     where c.table_schema in ('social', 'notify', 'ops') and table_type = 'BASE TABLE' and c.table_name !~ '_[0-9]+$'
       and (c.column_name ~ '^(user|other|author|owner|follower|followee|actor|recipient|except|subject|target_user)_ids?$'
         or c.column_name in ('caller', 'sender', 'session_id'))
     order by 1`,
  )
  const { rows: definitions } = await pool.query(`select pg_get_functiondef('ops.person(bigint)'::regprocedure) as sql`)
  t.ok(rows.length > 20)
  t.same(
    rows.map(({ place }) => place).filter((place) => !definitions[0].sql.includes(`'${place}'`)),
    [],
    'each is to be named in ops.person, and cleared in src/social/users/erase.ts or listed in docs/privacy.md',
  )
})

/** Something in every table that holds things of a user. */
async function leaveTraces({ url, pool }: TestSystem, one: TestClient, other: TestClient, body: string): Promise<void> {
  await pool.query('update social.users set email_verified_at = now() where id = $1', [one.id])
  const key = { 'idempotency-key': `key-of-${one.username}` }
  const { body: post } = await one.request('POST', '/posts', { body }, key)
  const comment = await other.comment(post.id, `${other.username} says so`)
  await one.comment(post.id, `${one.username} thanks`, comment.id)
  await other.like(post.id)
  await other.follow(one.id)
  await one.request('POST', '/posts', { body: `${one.username} looks`, mediaIds: [await uploaded(url, one)] })
  await one.request('PATCH', `/users/${one.id}`, {
    avatarMediaId: await uploaded(url, one),
    bio: `I am ${one.username}`,
    displayName: `The ${one.username}`,
  })
  await one.request('PATCH', '/auth/me', {
    email: `new_${one.username}@example.org`,
    currentPassword: PASSWORD,
    timeZone: 'Europe/Berlin',
  })
  await one.request('PATCH', '/auth/me', { email: `${one.username}@example.org`, currentPassword: PASSWORD })
  await one.request('PUT', '/notifications/preferences', { channels: { email: false } })
  const keys = { p256dh: POINT, auth: 'a'.repeat(22) }
  await one.request('POST', '/push/subscriptions', { endpoint: `https://push.example.org/${one.id}`, keys })
  for (const path of [`/posts/${post.id}/bookmark`, `/posts/${post.id}/mute`, `/users/${one.id}/mute`])
    await other.request('PUT', path)
  await other.request('PUT', `/users/${one.id}/bell`, { enabled: true })
}

async function personOf(pool: pg.Pool, id: string): Promise<Record<string, number>> {
  const { rows } = await pool.query<{ place: string; rows: number }>(
    'select place, sum(rows)::int as rows from ops.person($1) group by 1 order by 1',
    [id],
  )
  return Object.fromEntries(rows.map((row) => [row.place, row.rows]))
}

/** Tables that hold a text anywhere in a row; partitions of the log one by one. */
async function placesWith(pool: pg.Pool, text: string): Promise<string[]> {
  const { rows: tables } = await pool.query<{ name: string }>(
    `select format('%I.%I', n.nspname, c.relname) as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind = 'r' and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname !~ '^pg_' order by 1`,
  )
  const found: string[] = []
  for (const { name } of tables)
    if ((await pool.query(`select from ${name} t where t::text ilike '%' || $1 || '%'`, [text])).rowCount)
      found.push(name)
  return found
}

/** Makes all times of all tables lie more than a year back. */
async function age(pool: pg.Pool): Promise<void> {
  const { rows } = await pool.query<{ name: string; columns: string }>(
    `select format('%I.%I', c.table_schema, c.table_name) as name,
       string_agg(format('%1$I = %1$I - interval ''400 days''', c.column_name), ', ') as columns
     from information_schema.columns c join information_schema.tables using (table_schema, table_name)
     where table_schema in ('social', 'notify') and table_type = 'BASE TABLE' and data_type = 'timestamp with time zone'
       and c.table_name !~ '^(delivery_log_[0-9]|delivery_log$|outbox_[0-9]|workers|maintenance|types)' group by 1`,
  )
  for (const { name, columns } of rows) await pool.query(`update ${name} set ${columns}`)
  await pool.query('update social.rate_limits set expire = 1')
}
