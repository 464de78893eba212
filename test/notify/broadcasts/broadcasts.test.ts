import t, { test } from 'tap'
import { sumReached } from '../../../src/notify/broadcasts/progress.ts'
import { call, PASSWORD } from '../../client.ts'
import { noDrift } from '../../settled.ts'
import { eventually, setup } from '../../setup.ts'
import { act, addUsers, adminOf, draft, received, untilIn } from './broadcasts.ts'

const system = await setup(t, { worker: true })
const { pool, url } = system
const boss = await adminOf(system)
const ana = await system.as('ana')
const ben = await system.as('ben')

test('a broadcast can be written, tested, sent in each language, and watched', async (t) => {
  const template = await boss.request('POST', '/admin/templates', {
    name: 'Sale',
    type: 'shop.sale',
    title: '{percent, number}% off',
    variables: { percent: { type: 'number' } },
    translations: { de: { title: '{percent, number} % Rabatt' } },
  })
  await ben.request('PATCH', '/auth/me', { locale: 'de-AT' })
  const segment = await boss.request('POST', '/admin/segments', { name: 'Both', rule: { ids: [ana.id, ben.id] } })
  const body = { name: 'Sale', templateId: template.body.id, variables: { percent: 20 }, segmentId: segment.body.id }
  const wrong: [change: object, status: number, pointer?: string][] = [
    [{ variables: {} }, 400, '/variables/percent'],
    [{ content: { title: 'x' } }, 400, '/content'],
    [{ everyone: true }, 400, '/segmentId'],
    [{ segmentId: undefined }, 400, '/segmentId'],
    [{ segmentId: '999999' }, 404],
    [{ templateId: '999999' }, 404],
    [{ sendAt: '2026-02-30T09:00:00Z' }, 400, '/sendAt'],
    [{ sendAt: '2026-02-28T09:00:00' }, 400, '/sendAt'],
    [{ sendAt: '0000-01-01T09:00:00', timeZone: 'recipient' }, 400, '/sendAt'],
    [{ timeZone: 'recipient' }, 400, '/sendAt'],
    [{ perSecond: 0 }, 400, '/perSecond'],
    [
      { templateId: undefined, variables: undefined, content: { title: 'x', actorExternalId: 'nobody' } },
      400,
      '/content/actorExternalId',
    ],
    [{ segmentId: undefined, rule: { color: 'red' } }, 400],
  ]
  for (const [change, status, pointer] of wrong) {
    const answer = await boss.request('POST', '/admin/broadcasts', { ...body, ...change })
    t.match(answer, { status, ...(pointer && { body: { errors: [{ pointer }] } }) }, JSON.stringify(change))
  }
  const key = { 'idempotency-key': 'sale' }
  const created = await boss.request('POST', '/admin/broadcasts', body, key)
  t.match(created, { status: 201, body: { state: 'draft', templateVersion: 1, content: { title: '20% off' } } })
  t.same((await boss.request('POST', '/admin/broadcasts', body, key)).body, created.body)
  const path = `/admin/broadcasts/${created.body.id}`
  t.match(await boss.request('PUT', path, { name: 'Other', content: { title: '{x}' }, everyone: true }), {
    status: 200,
    body: { state: 'draft', name: 'Other', templateId: null, segmentId: null, audience: { everyone: true } },
  })
  t.same((await boss.request('PUT', path, body)).body, created.body, 'a draft is replaced whole')
  t.match(await boss.request('PUT', path, { ...body, variables: {} }), { status: 400 })
  t.match((await boss.request('POST', `${path}/dry-run`)).body, { total: 2, shown: 2, silent: 0, noChannel: 0 })
  await pool.query(`update social.users set external_id = 'ben' where id = $1`, [ben.id])
  t.match(await boss.request('POST', `${path}/test`, { externalIds: ['ben'] }), { status: 202, body: { accepted: 1 } })
  await pool.query('update social.users set external_id = null where id = $1', [ben.id])
  t.equal((await boss.request('POST', `${path}/test`, {})).status, 400)
  await eventually(async () => (await ben.get('/notifications')).items.length === 1)
  t.match((await ben.get('/notifications')).items, [{ title: '20 % Rabatt', type: 'shop.sale' }])
  t.match((await boss.get(path)).progress, { total: null, done: 0, stored: 0, waiting: 0 })

  await pool.query(
    `insert into notify.webhooks (endpoint, events, disabled_at, disabled_because) values ('https://example.org/', '{broadcast.finished}', null, null)`,
  )
  const sent = await boss.request('POST', `${path}/send`, undefined, { 'idempotency-key': 'now' })
  t.match(sent, { status: 200, body: { state: 'scheduled' } })
  t.same((await boss.request('POST', `${path}/send`, undefined, { 'idempotency-key': 'now' })).body, sent.body)
  t.match(await boss.request('POST', `${path}/send`), { status: 409, body: { code: 'BROADCAST_STATE' } })
  t.match(await boss.request('PUT', path, body), { status: 409, body: { code: 'BROADCAST_STATE' } })
  t.match(await boss.request('DELETE', path), { status: 409, body: { code: 'BROADCAST_STATE' } })
  const unwanted = await draft(boss, { everyone: true })
  t.equal((await boss.request('DELETE', unwanted)).status, 204)
  t.match(await boss.request('DELETE', unwanted), { status: 404, body: { code: 'BROADCAST_NOT_FOUND' } })
  const { progress } = await untilIn(boss, path, 'finished')
  t.match(progress, { total: 2, done: 2, stored: 2, filtered: 0, suppressed: 0, failed: 0, read: 0, rate: null })
  const { rows: hooks } = await pool.query(
    `select data from notify.webhook_deliveries where event = 'broadcast.finished'`,
  )
  t.match(hooks, [{ data: { broadcastId: created.body.id, state: 'finished', total: 2, stored: 2, failed: 0 } }])
  // With their messages, which the worker may be sending: endpoints are locked first.
  await pool.query('delete from notify.webhooks')
  const { items: audit } = await boss.get(`/admin/audit?target=broadcast:${created.body.id}`)
  t.same(audit.map(({ action }: { action: string }) => action).sort(), [
    'broadcast.create',
    'broadcast.send',
    'broadcast.test',
    'broadcast.update',
    'broadcast.update',
  ])
  t.match(
    audit.find(({ after }: { after: { name?: string } }) => after.name === 'Other'),
    { before: { name: 'Sale', templateId: template.body.id }, after: { name: 'Other', templateId: null } },
  )
  const [ofAna] = (await ana.get('/notifications')).items
  t.match(ofAna, { title: '20% off', body: null, type: 'shop.sale', actorCount: 0, actors: [] })
  t.equal((await ana.get('/notifications/unread-count')).unreadCount, 1)
  t.equal((await ben.get('/notifications')).items.length, 2)
  await ana.request('POST', `/notifications/${ofAna.id}/read`)
  t.match((await boss.get(path)).progress, { read: 1, acknowledged: 1, pushed: 1 })

  const first = await boss.get(`${path}/recipients?limit=1`)
  t.match(first.items, [{ userId: ana.id, username: 'ana', decision: 'shown', readAt: String }])
  const second = await boss.get(`${path}/recipients?limit=1&cursor=${first.nextCursor}`)
  t.match(second, { items: [{ userId: ben.id, readAt: null }], nextCursor: null })
  const csv = await call(url, 'GET', `${path}/recipients?format=csv`, undefined, {
    authorization: `Bearer ${boss.accessToken}`,
  })
  t.match(csv.headers.get('content-type'), 'text/csv')
  const [head, ...lines] = String(csv.body).trimEnd().split('\r\n')
  t.match(head, /^userId,externalId,username,decision,/)
  t.match(lines, [new RegExp(`^${ana.id},,ana,shown`), new RegExp(`^${ben.id},,ben,shown`)])
  t.match((await boss.get('/admin/broadcasts')).items, [{ id: created.body.id, state: 'finished' }])
})

test('pausing, resuming and cancelling a broadcast take effect with the next chunk', async (t) => {
  const ids = await addUsers(pool, 'slow', 60)
  const path = await draft(boss, { rule: { ids }, perSecond: 10 })
  await act(boss, path, 'send')
  await eventually(async () => (await boss.get(path)).progress.done > 0)
  t.match(await act(boss, path, 'pause'), { state: 'paused' })
  const { rows } = await pool.query('select count(*)::int as n from notify.fan_outs where finished_at is null')
  t.ok(rows[0].n > 0)
  // A running chunk may end after the answer. Later chunks find the broadcast paused.
  await eventually(
    async () =>
      (
        await pool.query(
          `select from notify.fan_outs where kind = 'broadcast' and finished_at is null and due_at > now() + interval '2 seconds'`,
        )
      ).rowCount,
  )
  const { done } = (await boss.get(path)).progress
  t.ok(done < 60, `${done} done`)
  await act(boss, path, 'resume')
  t.match((await boss.get(path)).progress, { rate: Number })
  await eventually(async () => (await boss.get(path)).progress.done > done)
  await act(boss, path, 'cancel')
  await eventually(
    async () =>
      (await pool.query(`select from notify.fan_outs where kind = 'broadcast' and finished_at is null`)).rowCount === 0,
  )
  const { state, progress } = await boss.get(path)
  t.match({ state, total: progress.total }, { state: 'cancelled', total: 60 })
  t.ok(progress.done < 60, `${progress.done} done`)
  t.same(await received(pool, path), { users: progress.done, rows: progress.done })
  for (const action of ['pause', 'resume', 'cancel', 'send'])
    t.match(await boss.request('POST', `${path}/${action}`), { status: 409 }, action)
  const later = await draft(boss, { rule: { ids }, sendAt: '2099-01-01T00:00:00Z' })
  t.match(await act(boss, later, 'send'), { state: 'scheduled', sendAt: '2099-01-01T00:00:00.000Z' })
  await act(boss, later, 'cancel')
  await eventually(
    async () =>
      (await pool.query(`select from notify.fan_outs where kind = 'broadcast' and finished_at is null`)).rowCount === 0,
  )
  t.same(await received(pool, later), { users: 0, rows: 0 })
})

test('a recall retracts from every inbox reached, and cancels unsent mail', async (t) => {
  const ids = await addUsers(pool, 'recalled', 700)
  await pool.query(
    `update notify.inbox set reachable_by = '{email}' where user_id = any($1::bigint[]) and user_id % 2 = 0`,
    [ids],
  )
  const path = await draft(boss, { rule: { ids: [...ids, ana.id] } })
  const before = (await ana.get('/notifications/unread-count')).unreadCount
  const holder = await pool.connect()
  await holder.query('begin')
  await holder.query('select from notify.inbox where user_id = any($1::bigint[]) for update', [ids.slice(0, 3)])
  await act(boss, path, 'send')
  await eventually(async () => (await boss.get(path)).state === 'finished')
  t.match((await boss.get(path)).progress, { total: 701, done: 701, stored: 698, waiting: 3 })
  t.equal((await ana.get('/notifications/unread-count')).unreadCount, before + 1)
  const thread = `broadcast:${path.split('/').at(-1)}`
  await pool.query('update notify.notifications set delivered_at = now() where thread_key = $1 and user_id % 2 = 0', [
    thread,
  ])
  const { pushed, acknowledged, read } = (await boss.get(path)).progress
  t.ok(pushed >= acknowledged && acknowledged >= 348 && acknowledged < 698, `${acknowledged} acknowledged`)
  const text = system.app.reader.textOf('broadcast-reached')
  for (const slice of [349, 697, 698])
    t.same(await sumReached(pool, text, thread, slice), { inInboxes: 698, pushed, acknowledged, read }, `by ${slice}`)
  const mails = async () =>
    (
      await pool.query(
        `select state, count(*)::int as n from notify.deliveries where user_id = any($1::bigint[]) group by 1`,
        [ids],
      )
    ).rows
  t.match(await mails(), [{ state: 'queued' }])
  await pool.query(`update social.sessions set created_at = now() - interval '11 minutes' where id = $1`, [
    boss.sessionId,
  ])
  const recall = (body?: object) =>
    boss.request('POST', `${path}/recall`, body, { 'idempotency-key': `recall ${path}`.replaceAll(' ', '-') })
  t.match(await recall(), { status: 403, body: { code: 'REAUTHENTICATION_REQUIRED' } })
  t.match(await recall({ currentPassword: 'not mine' }), { status: 403, body: { code: 'WRONG_PASSWORD' } })
  const recalled = await recall({ currentPassword: PASSWORD })
  t.match(recalled, { status: 200, body: { state: 'recalled', recallFinishedAt: null } })
  await pool.query('update social.sessions set created_at = now() where id = $1', [boss.sessionId])
  const again = await recall()
  t.same(again.body, recalled.body, 'the key is of the request without the password, which nothing stores')
  t.equal(again.headers.get('idempotent-replayed'), 'true')
  await holder.query('commit')
  holder.release()
  await eventually(async () => (await boss.get(path)).recallFinishedAt)
  t.same(await received(pool, path), { users: 0, rows: 0 })
  t.match(await mails(), [{ state: 'cancelled' }])
  t.equal((await ana.get('/notifications/unread-count')).unreadCount, before)
  t.match((await boss.get(path)).progress, { total: 701, done: 698, stored: 698, waiting: 0, recalled: 698 })
  t.same((await pool.query('select from notify.pending')).rowCount, 0, 'those whose inbox was held do not get it later')
  await noDrift(t, system)
})

test('an SQL audience is listed when the broadcast starts; a query that fails cancels the broadcast', async (t) => {
  const query = {
    name: 'By SQL',
    sql: `select id from social.users where username like 'slow%' union all select 999999999`,
  }
  const { body: segment } = await boss.request('POST', '/admin/segments', query)
  const path = await draft(boss, { segmentId: segment.id, perSecond: 1000 })
  t.match((await boss.request('POST', `${path}/dry-run`)).body, { total: 60, shown: 60 })
  await act(boss, path, 'send')
  t.match((await untilIn(boss, path, 'finished')).progress, { total: 60, done: 60, stored: 60 })
  await boss.request('PATCH', `/admin/segments/${segment.id}`, { sql: 'select nothing from social.users' })
  const failing = await draft(boss, { segmentId: segment.id })
  t.match(await boss.request('POST', `${failing}/dry-run`), { status: 422, body: { code: 'BAD_SEGMENT' } })
  await act(boss, failing, 'send')
  t.match(await untilIn(boss, failing, 'cancelled'), { lastError: /column "nothing" does not exist/ })

  await boss.request('PATCH', `/admin/segments/${segment.id}`, {
    sql: 'select cast(email as bigint) from social.users',
  })
  const revealing = await draft(boss, { segmentId: segment.id })
  const { body: shown } = await boss.request('POST', `${revealing}/dry-run`)
  await act(boss, revealing, 'send')
  const { lastError } = await untilIn(boss, revealing, 'cancelled')
  for (const text of [shown.detail, lastError]) t.match(text, /SQLSTATE 22P02/)
  t.notMatch(JSON.stringify([shown, lastError]), 'example.org')

  await addUsers(pool, 'many', 10_001)
  await boss.request('PATCH', `/admin/segments/${segment.id}`, {
    sql: `select id from social.users where username like 'many%'`,
  })
  const large = await draft(boss, { segmentId: segment.id })
  await act(boss, large, 'send')
  const { progress } = await untilIn(boss, large, 'finished')
  t.match(progress, { total: 10_001, done: 10_001, stored: 10_001 }, 'more than are listed at a time')
  t.same(await received(pool, large), { users: 10_001, rows: 10_001 })
})

test('what the query of a broadcast does or sets is undone when it starts', async (t) => {
  // As stored by an edition that did not refuse them. The worker runs them as the server's role.
  await pool.query(
    `create or replace function social.users_of_query(query text) returns setof bigint language plpgsql as $$
     begin return query execute query; end $$`,
  )
  const { rows } = await pool.query(`select oid from pg_largeobject_metadata`)
  // Before 16, a read-only transaction may make large objects.
  const { rows: versions } = await pool.query(`select current_setting('server_version_num')::int >= 160000 as refuses`)
  const setting = `select set_config('application_name', 'changed', false) is not null`
  for (const [sql, state] of [
    [`select u.id from social.users u where (${setting}) and u.username = 'boss'`, 'finished'],
    ['select lo_creat(-1)::bigint', versions[0].refuses ? 'cancelled' : 'finished'],
  ] as const) {
    const path = await draft(boss, { everyone: true })
    await pool.query(`update notify.broadcasts set audience = jsonb_build_object('sql', $2::text) where id = $1`, [
      path.split('/').at(-1),
      sql,
    ])
    await act(boss, path, 'send')
    t.match(await untilIn(boss, path, state), { lastError: state === 'finished' ? null : /read-only transaction/ })
  }
  t.same((await pool.query(`select oid from pg_largeobject_metadata`)).rows, rows)
  t.equal((await pool.query(`select from pg_stat_activity where application_name = 'changed'`)).rowCount, 0)
})

test('a rule with an impossible value cancels the broadcast', async (t) => {
  const path = await draft(boss, { everyone: true })
  await pool.query(`update notify.broadcasts set audience = $2::jsonb where id = $1`, [
    path.split('/').at(-1),
    '{"rule": {"createdAfter": "2026-02-30T00:00:00Z"}}',
  ])
  await act(boss, path, 'send')
  t.match(await untilIn(boss, path, 'cancelled'), { lastError: /out of range/ })
})

test('a broadcast respects its channels, the blocks of its actor, and its expiry', async (t) => {
  const ids = await addUsers(pool, 'chosen', 4)
  await pool.query(`update notify.inbox set reachable_by = '{email}' where user_id = any($1::bigint[])`, [
    ids.slice(0, 2),
  ])
  const mail = await draft(boss, { rule: { ids }, channels: ['email'] })
  await act(boss, mail, 'send')
  t.match((await untilIn(boss, mail, 'finished')).progress, { stored: 0, filtered: 2, suppressed: 2 })
  const inApp = await draft(boss, { rule: { ids }, channels: ['inApp'] })
  await act(boss, inApp, 'send')
  t.match((await untilIn(boss, inApp, 'finished')).progress, { stored: 4 })
  const { rows } = await pool.query(
    'select count(*)::int as n from notify.deliveries where user_id = any($1::bigint[])',
    [ids],
  )
  t.same(rows, [{ n: 2 }], 'mails of the first broadcast only')
  await ana.request('PUT', `/users/${ben.id}/block`)
  await pool.query(`update social.users set external_id = 'shop-ben' where id = $1`, [ben.id])
  const content = { title: 'From Ben', actorExternalId: 'shop-ben' }
  const from = await draft(boss, { content, rule: { ids: [...ids, ana.id] }, expiresIn: 3600 })
  await act(boss, from, 'send')
  t.match((await untilIn(boss, from, 'finished')).progress, { stored: 4, suppressed: 1 })
  const { rows: kept } = await pool.query(
    `select distinct actor_ids, actor_count, expires_at < now() + interval '61 minutes' as soon from notify.notifications where thread_key = $1`,
    [`broadcast:${from.split('/').at(-1)}`],
  )
  t.same(kept, [{ actor_ids: [ben.id], actor_count: 1, soon: true }])
})

test('each recipient gets a broadcast at the local time, also on days when the clocks change', async (t) => {
  const zones = ['Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'Pacific/Apia', null, 'Nowhere/Land']
  const ids = await addUsers(pool, 'zoned', zones.length)
  for (const [index, zone] of zones.entries())
    await pool.query('update social.users set time_zone = $2 where id = $1', [ids[index], zone])
  const wall = (at: Date, timeZone: string) =>
    new Intl.DateTimeFormat('sv-SE', { timeZone, dateStyle: 'short', timeStyle: 'medium' }).format(at).replace(' ', 'T')
  // A usual day, the day after a clock change, a repeated hour and a skipped hour, in Berlin and New York.
  for (const at of [
    '2099-06-01T09:00:00',
    '2099-03-29T09:00:00',
    '2099-10-25T02:30:00',
    '2099-03-29T02:30:00',
    '2099-03-08T02:30:00',
  ]) {
    const path = await draft(boss, { rule: { ids }, sendAt: at, timeZone: 'recipient' })
    t.match(await act(boss, path, 'send'), { state: 'scheduled', sendAt: at, timeZone: 'recipient' })
    const { rows } = await pool.query(
      `select due_at, event from notify.fan_outs where kind = 'broadcast' and object_id = $1 order by actor_id`,
      [path.split('/').at(-1)],
    )
    t.match(rows.at(-1), { event: { rest: true } }, 'the last part has whoever is left')
    for (const zone of ['Europe/Berlin', 'America/New_York', 'Asia/Kolkata', 'Pacific/Apia', 'UTC']) {
      const parts = rows.filter(({ event }) => event.zones?.includes(zone))
      t.equal(parts.length, 1, `${zone} ${at}`)
      const shown = wall(parts[0].due_at, zone)
      if (shown !== at) t.equal(shown, at.replace('T02', 'T03'), `${zone} skips ${at}`)
    }
    await act(boss, path, 'cancel')
  }
  const past = await draft(boss, { rule: { ids }, sendAt: '2020-01-01T09:00:00', timeZone: 'recipient' })
  await act(boss, past, 'send')
  t.match((await untilIn(boss, past, 'finished')).progress, {
    total: zones.length,
    done: zones.length,
    stored: zones.length,
  })
  t.same(await received(pool, past), { users: zones.length, rows: zones.length })
})

test('a user who changes the time zone between two parts of a broadcast is reached and counted once', async (t) => {
  const ids = await addUsers(pool, 'mover', 3)
  await pool.query(`update social.users set time_zone = 'Asia/Kolkata' where id = any($1::bigint[])`, [ids])
  await pool.query(`update social.users set time_zone = 'Europe/Berlin' where id = $1`, [ids[2]])
  const path = await draft(boss, { rule: { ids }, sendAt: '2099-06-01T09:00:00', timeZone: 'recipient' })
  await act(boss, path, 'send')
  const due = (where: string) =>
    pool.query(`update notify.fan_outs set due_at = now() where finished_at is null and ${where}`)
  await due(`event -> 'zones' ? 'Asia/Kolkata'`)
  await eventually(async () => (await boss.get(path)).progress.done === 2)
  await pool.query(`update social.users set time_zone = 'Europe/Berlin' where id = $1`, [ids[0]])
  await due('true')
  t.match((await untilIn(boss, path, 'finished')).progress, { total: 3, done: 3, stored: 3 })
  t.same(await received(pool, path), { users: 3, rows: 3 })
})
