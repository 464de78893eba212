import { execFile } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'

import { startProcessHeartbeat } from '../../src/ops/processes.ts'
import { grantAdmin } from '../../src/social/accounts/admin.ts'
import { signIn, type TestClient } from '../client.ts'
import { settled } from '../settled.ts'
import { eventually, setup, type TestSystem } from '../setup.ts'

const PSQL = ['/usr/bin/psql', '/usr/local/bin/psql'].find(existsSync)
type Sql = { name: string; parameters: (string | number | null)[]; rows: number; text?: string }
type Read = {
  items?: Record<string, unknown>[]
  steps?: Record<string, unknown>[]
  sql: Sql
  [column: string]: unknown
}

/** Eight users like Ana's post: three are shown and five wait. Ben follows her. */
async function makeStory(t: Tap): Promise<{
  system: TestSystem
  admin: TestClient
  ana: TestClient
  broadcast: string
}> {
  const system = await setup(t, { worker: true, push: true, windowSeconds: 3600 })
  const heartbeat = startProcessHeartbeat(system.app, 'all')
  t.teardown(() => heartbeat.close())
  await system.as('rita')
  await grantAdmin(system.pool, 'rita')
  const [admin, ana] = [await signIn(system.url, 'rita'), await system.as('ana')]
  const post = await ana.post('A secret about the harbour')
  for (let n = 1; n <= 8; n += 1)
    await (await system.as(`fan_${n}`)).request('POST', `/posts/${post.id}/like`, undefined, {
      'x-request-id': n === 1 ? 'a-like' : `like-${n}`,
    })
  await settled(system)
  await system.pool.query(
    `insert into notify.pending (consumer, event_id, recipient_id, event, attempts, last_error, dead_at, due_at)
     values ('notifications', 90001, $1, '{"sourceId": "like:1:1", "data": {"body": "a private word"}}', 12, 'comment too deep', now(), now()),
            ('notifications', 90002, $1, '{"sourceId": "like:1:2"}', 1, 'held', null, now() + interval '1 hour')`,
    [ana.id],
  )
  await system.pool.query(
    `insert into notify.deliveries (user_id, notification_id, channel, target, state, grown_modseq, due_at)
     values ($1, 1, 'email', 'emailChanging private@example.org', 'deferred', 1, now() + interval '1 hour'), ($1, 2, 'webPush', 'x', 'sent', 1, null)`,
    [ana.id],
  )
  await admin.request('POST', '/admin/templates', {
    name: 'Greeting',
    title: 'Hello {name}',
    variables: { name: { type: 'string' } },
  })
  await admin.request('POST', '/admin/segments', { name: 'Ana', rule: { ids: [ana.id] } })
  const { body: broadcast } = await admin.request('POST', '/admin/broadcasts', {
    name: 'News',
    content: { title: 'News' },
    rule: { ids: [admin.id] },
  })
  await admin.request('POST', `/admin/broadcasts/${broadcast.id}/send`)
  await eventually(async () => (await admin.get(`/admin/broadcasts/${broadcast.id}`)).state === 'finished')
  return { system, admin, ana, broadcast: broadcast.id }
}
type Tap = Parameters<typeof setup>[0]

const story = await makeStory(t)

t.test(
  'each console route returns the rows that its published SQL returns in psql',
  { skip: !PSQL && 'psql is missing' },
  async (t) => {
    const { system, admin, ana, broadcast } = story
    const paths =
      `system history tables workers lanes pending?limit=1 invariants deliveries?limit=1 deliveries?show=finished&limit=1 webhooks breakers settings?limit=3
    users?q=an users?q=nobody users/${ana.id}/timeline?limit=5 users/${ana.id}/explain?limit=4 users/${ana.id}/explain?notificationId=1 users/${ana.id}/badge
    tables/notify.deliveries tables/social.likes tables/notify.windows tables/notify.outbox tables/notify.delivery_log?limit=2 tables/notify.sources?order=key&limit=2
    tables/notify.notifications?order=key&column=user_id&value=${ana.id}
    templates?limit=1 templates/1 segments broadcasts broadcasts/${broadcast}/recipients notification-types?limit=3
    audit?limit=2 audit?action=template.create dead-letters dead-letters?reveal=true dead-letters/1 dead-letters/causes trace/${ana.id}/1
    users/${ana.id}/why-not?sourceId=like:1:999`.split(/\s+/)
    const named = new Set<string>()
    for (const path of paths) {
      const { items, steps, columns, nextCursor, estimated, sql, ...row }: Read = await admin.get(`/admin/${path}`)
      const { status, body: text, headers } = await admin.request('GET', `/admin/sql/${sql.name}`)
      t.equal(status, 200, sql.name)
      named.add(sql.name)
      if (typeof nextCursor === 'string' && !path.includes('cursor='))
        paths.push(`${path}${path.includes('?') ? '&' : '?'}cursor=${nextCursor}`)
      t.match(headers.get('content-type'), 'text/plain')
      if (sql.text !== undefined) t.equal(text, sql.text, `${path} shows what it ran`)
      const shown = items ?? steps ?? [row]
      const printed = await runByPsql(system.databaseUrl, text, sql.parameters)
      t.equal(printed.length, sql.rows, `${path}: ${sql.rows} rows`)
      t.same(
        printed.slice(0, shown.length).map(withoutAges),
        shown.map((item) =>
          withoutAges(Object.fromEntries(Object.entries(item).map(([name, value]) => [name, asPrinted(value)]))),
        ),
        path,
      )
    }
    const printedOf = async (sql: Sql) => {
      const { body: text } = await admin.request('GET', `/admin/sql/${sql.name}`)
      return (await runByPsql(system.databaseUrl, text, sql.parameters))[0]
    }
    const { progress, sql } = await admin.get(`/admin/broadcasts/${broadcast}`)
    t.match(progress, { total: 1, done: 1, stored: 1, waiting: 0 })
    t.match(await printedOf(sql.broadcast), { state: 'finished', total: '1', done: '1', stored: '1', failed: '0' })
    t.match(await printedOf(sql.reached), { inInboxes: '1', read: '0' })
    const found = await admin.get('/admin/trace?requestId=a-like')
    const { count, events } = (await printedOf(found.sql)) ?? {}
    t.equal(Number(count), found.looked.events)
    t.match(found.events, [{ action: 'like' }])
    const sameTime = (event: { at: string }) => ({ ...event, at: Date.parse(event.at) })
    t.same(JSON.parse(events ?? '').map(sameTime), found.events.map(sameTime))
    // Jobs come and go: until both see the same.
    await eventually(async () => {
      const { items, sql } = await admin.get('/admin/jobs')
      const { body: text } = await admin.request('GET', `/admin/sql/${sql.name}`)
      const printed = await runByPsql(system.databaseUrl, text, sql.parameters)
      named.add(sql.name)
      const keysOf = (rows: Record<string, unknown>[]) => rows.map(({ task, state }) => `${task} ${state}`).join()
      return keysOf(printed) === keysOf(items)
    })
    const visitor = await system.pool.connect()
    await visitor.query(
      `set application_name = 'visitor'; begin; select from social.users where id = ${ana.id} for update`,
    )
    // Transactions of Ravenpost come and go.
    const ofVisitor = (rows: Record<string, unknown>[]) => rows.find(({ application }) => application === 'visitor')
    const held = await admin.get('/admin/locks')
    named.add(held.sql.name)
    const { body: ofLocks } = await admin.request('GET', `/admin/sql/${held.sql.name}`)
    const printedLock = ofVisitor(await runByPsql(system.databaseUrl, ofLocks, held.sql.parameters))
    t.match(ofVisitor(held.items), { locks: ['social.users RowShareLock'], waiting: [] })
    t.match(printedLock, {
      pid: String(ofVisitor(held.items)?.pid),
      locks: '{"social.users RowShareLock"}',
      waiting: '{}',
    })
    await visitor.query('rollback; reset application_name')
    visitor.release()
    const advice = await admin.get('/admin/advice?memory=640GB')
    const { body: text } = await admin.request('GET', `/admin/sql/${advice.sql.name}`)
    const advised = await runByPsql(system.databaseUrl, text, advice.sql.parameters)
    // Connections of Ravenpost set more than those of psql.
    const buffers = ({ setting }: { setting?: string }) => setting === 'shared_buffers'
    t.match(advised.find(buffers), { advised: '2048MB' })
    t.same(advised.find(buffers), advice.items.find(buffers))
    for (const { name } of [sql.broadcast, sql.reached, found.sql, advice.sql]) named.add(name)
    const files = readdirSync(join(import.meta.dirname, '../../src/ops/console/sql'))
    // That of the columns belongs to the pages of tables; the stream has a test of its own.
    const others = ['table.sql', 'pipeline.sql']
    t.same(
      files.filter((file) => !named.has(file.replace('.sql', '')) && !others.includes(file)),
      [],
      'every statement is among them',
    )
  },
)

t.test('no statement of the console scans a large table or can write', async (t) => {
  const { system, admin, ana, broadcast } = story
  const reads: Read[] = await Promise.all(
    [
      'system',
      'history',
      'jobs',
      'lanes',
      'pending',
      'invariants',
      'deliveries',
      'deliveries?show=finished',
      'webhooks',
      `users/${ana.id}/timeline`,
      `users/${ana.id}/badge`,
      'tables/social.likes',
      'tables/notify.notifications',
      'tables/notify.outbox',
      'tables/notify.delivery_log',
      'tables/notify.sources?order=key',
      `tables/notify.notifications?order=key&column=user_id&value=${ana.id}`,
      'audit',
      `broadcasts/${broadcast}/recipients`,
      `trace/${ana.id}/1`,
      'trace?requestId=a-like',
    ].map((path) => admin.get(`/admin/${path}`)),
  )
  for (const { sql } of reads) {
    const text = (await admin.request('GET', `/admin/sql/${sql.name}`)).body
    const { rows } = await system.pool.query(`explain (format json) ${text}`, sql.parameters)
    const plan = JSON.stringify(rows[0]['QUERY PLAN'])
    const scans = [...plan.matchAll(/"Node Type":"Seq Scan"[^}]*?"Relation Name":"(\w+)"/g)].map(
      ([, table = '']) => table,
    )
    const large = scans.filter((table) =>
      /^(likes|comments|posts|users|follows|notifications|sources|inbox|outbox|delivery_log|deliveries|tombstones)(_\d+)?$/.test(
        table,
      ),
    )
    t.same(large, [], `${sql.name} has an index`)
  }
  const { reader } = system.app
  await t.rejects(reader.run('x', 'delete from social.likes', []), { code: '25006' }, 'nothing is written')
  await t.rejects(reader.run('x', 'select password_hash from social.users', []), { code: '42501' }, 'nor read secrets')
  await t.rejects(reader.run('x', 'select pg_sleep(10)', []), { code: 'READ_TOO_SLOW' }, 'nor take its time')
})

t.test('tables are read in pages, by their newest rows and by a column, without private columns', async (t) => {
  const { system, admin, ana } = story
  const likes = await admin.get('/admin/tables/social.likes')
  t.equal(likes.items.length, 8)
  const times = likes.items.map(({ created_at }: { created_at: string }) => created_at)
  t.same(times, [...times].sort().reverse(), 'newest first')
  const { items: tables } = await admin.get('/admin/tables')
  const found = tables.find(({ name }: { name: string }) => name === 'social.likes')
  t.match(found, { rows: 8, estimated: false, lastFiveMinutes: 8, comment: /^Likes of posts/ })

  const seen: unknown[] = []
  let cursor: string | null = ''
  while (cursor !== null) {
    const page: { items: unknown[]; nextCursor: string | null } = await admin.get(
      `/admin/tables/social.likes?order=key&limit=3${cursor && `&cursor=${cursor}`}`,
    )
    seen.push(...page.items)
    cursor = page.nextCursor
  }
  t.equal(new Set(seen.map((row) => JSON.stringify(row))).size, 8, 'pages of keys have every row once')

  const windows = await admin.get('/admin/tables/notify.windows')
  t.match(windows.items, [{ user_id: ana.id, type: 'post.liked' }])
  const waiting = await admin.get(`/admin/tables/notify.sources?column=user_id&value=${ana.id}&order=key`)
  t.equal(
    waiting.items.filter(({ waits_for }: { waits_for: string | null }) => waits_for !== null).length,
    5,
    'five likes wait for one window',
  )

  const posts = await admin.get('/admin/tables/social.posts')
  t.notMatch(JSON.stringify(posts), /harbour/)
  t.match(
    posts.columns.find(({ name }: { name: string }) => name === 'body'),
    { private: true, shown: false },
  )
  t.match(
    posts.columns.find(({ name }: { name: string }) => name === 'author_id'),
    { references: 'social.users.id', searchable: true },
  )
  t.match((await admin.get('/admin/tables/social.posts?reveal=true')).items, [{ body: 'A secret about the harbour' }])
  t.equal(
    (await admin.get('/admin/tables/social.media')).columns[0].shown,
    false,
    'the id of a medium grants access to it',
  )
  const users = await admin.get('/admin/tables/social.users?reveal=true')
  t.notMatch(JSON.stringify(users.items), /argon2/, 'secrets are not revealed')

  const refused = async (path: string) => (await admin.request('GET', `/admin/tables/${path}`)).body.code
  t.equal(await refused('social.nothing'), 'TABLE_NOT_FOUND')
  t.equal(await refused('graphile_worker.jobs'), 'TABLE_NOT_FOUND')
  t.equal(await refused('social.users?column=display_name&value=x'), 'COLUMN_NOT_SEARCHABLE')
  t.equal(await refused('social.users?column=id&value=x'), 'BAD_PARAMETER')
  t.equal((await admin.request('GET', '/admin/sql/nothing')).body.code, 'SQL_NOT_FOUND')
  t.equal((await ana.request('GET', '/admin/tables/social.likes')).status, 403)
  await system.pool.query(`update notify.inbox set unread_count = unread_count + 1 where user_id = $1`, [ana.id])
  t.match(
    await admin.get(`/admin/users/${ana.id}/badge`),
    { unreadCount: 2, unreadRecounted: 1 },
    'a wrong badge is seen',
  )
  await system.pool.query(`update notify.inbox set unread_count = unread_count - 1 where user_id = $1`, [ana.id])
  await system.pool.query('alter table notify.audit disable trigger audit_append_only')
  await system.pool.query(`update notify.audit set action = 'nothing.bad' where id = 2`)
  const { reader } = system.app
  // Not the answer that is kept for ten seconds.
  const { rows: invariants } = await reader.run('invariants', reader.textOf('invariants'), [])
  const audit = invariants.find(({ name }) => name === 'audit')
  t.match(audit, { holds: false, rows: [{ id: '2', reason: 'the row was changed' }] }, 'so is a changed audit log')
})

t.test('the pages of each list have every row once, in order', async (t) => {
  const { system, admin } = story
  const cem = await system.as('cem')
  await system.pool.query(
    `insert into notify.pending (consumer, event_id, recipient_id, event, attempts, due_at)
     select 'notifications', 91000 + i, $1, '{"sourceId": "like:2:1"}', 1, now() + (1 + i / 3) * interval '1 hour' from generate_series(1, 7) i`,
    [cem.id],
  )
  await system.pool.query(
    `insert into notify.pending (consumer, event_id, recipient_id, event, attempts, last_error, error_class, dead_at, due_at)
     select 'notifications', 92000 + i, $1, '{"sourceId": "like:2:1"}', 12, 'cause ' || chr(96 + i), '22P02', now(), now() from generate_series(1, 5) i`,
    [cem.id],
  )
  await system.pool.query(
    `insert into notify.deliveries (user_id, notification_id, channel, target, state, grown_modseq, due_at)
     select $1, 1 + i % 2, case when i % 3 = 0 then 'email' else 'webPush' end, i, case when done then 'sent' else 'queued' end, 1,
       case when not done then now() + (1 + i / 4) * interval '1 hour' end
     from generate_series(1, 14) i cross join lateral (select i > 7) d (done)`,
    [cem.id],
  )
  await system.pool.query(
    `insert into notify.webhooks (endpoint, events) select 'https://hooks.example.org/' || i, '{delivery.failed}' from generate_series(1, 3) i`,
  )
  // More than a block of 200, of which several grew at the same time, and some are removed.
  await system.pool.query(
    `with given as (
       update notify.inbox set modseq = 430, era = 430 / 8, unread_count = 412, unseen_count = 412 where user_id = $1
     ), removed as (
       insert into notify.tombstones (user_id, modseq, id, removed_at) select $1, i, 1000 + i, now() - (430 - i) / 5 * interval '1 minute' from generate_series(5, 430, 25) i
     )
     insert into notify.notifications (user_id, id, modseq, grown_modseq, type, group_key, actor_ids, actor_count, created_at, updated_at, delivered_at, expires_at)
     select $1, i, i, i, 'system', 'system:' || i, '{}', 0, at, at, now(), now() + interval '1 day'
     from generate_series(1, 430) i cross join lateral (select now() - (430 - i) / 5 * interval '1 minute') a (at)
     where i % 25 <> 5`,
    [cem.id],
  )
  await system.pool.query(
    `insert into notify.sources (user_id, source_id, event_id, live, notified, decision, decided_by, decided_at)
     select $1, 'like:7:' || i, 1, false, false, 'suppressed', 'mute', now() - i * interval '1 minute' from generate_series(0, 80, 20) i`,
    [cem.id],
  )
  const walk = async (path: string, limit: number) => {
    const seen: Record<string, unknown>[] = []
    for (let cursor: string | null = ''; cursor !== null; ) {
      const page: Read & { nextCursor: string | null } = await admin.get(
        `/admin/${path}${path.includes('?') ? '&' : '?'}limit=${limit}${cursor && `&cursor=${cursor}`}`,
      )
      t.ok((page.items?.length ?? 0) <= limit)
      seen.push(...(page.items ?? []))
      cursor = page.nextCursor
    }
    return seen
  }
  const withoutSeconds = (rows: Record<string, unknown>[]) =>
    rows.map((row) =>
      JSON.stringify(row, (name, value) => (/^(seenAt|.*Seconds|figures|beatAt)$/.test(name) ? 0 : value)),
    )
  for (const [path, least] of [
    ['pending', 8],
    ['deliveries', 8],
    ['deliveries?show=finished', 8],
    ['webhooks', 3],
    ['breakers', 3],
    ['settings', 20],
    ['dead-letters/causes', 6],
    [`users/${cem.id}/explain`, 21],
  ] as const) {
    const [whole, inPages] = [await walk(path, 100), await walk(path, 2)]
    t.ok(whole.length >= least, `${path}: ${whole.length} rows`)
    t.same(withoutSeconds(inPages), withoutSeconds(whole), path)
  }
  const [large, small] = [await walk(`users/${cem.id}/timeline`, 100), await walk(`users/${cem.id}/timeline`, 7)]
  t.same(small, large)
  const of = (what: string) =>
    large.flatMap((line) => (line.what === what ? [line.notificationId ?? line.sourceId] : []))
  t.equal(new Set(of('created')).size, 412)
  t.equal(of('created').length, 412)
  t.equal(of('removed').length, 18)
  t.same(of('suppressed'), ['like:7:0', 'like:7:20', 'like:7:40', 'like:7:60', 'like:7:80'])
  t.same(
    [of('created')[0], of('created').at(-1)],
    ['429', '1'],
    'the newest are on the first page, the oldest on the last',
  )
  await system.pool.query('delete from notify.pending where event_id > 90002')
  await system.pool.query('delete from notify.webhooks')
})

t.test('texts of users are hidden until an operator reveals them, and the audit log shows who did', async (t) => {
  const { system, admin, ana } = story
  await system.as('rolf')
  await system.as('olga')
  await system.pool.query(
    `update social.users set role = case username when 'rolf' then 'reader' else 'operator' end where username in ('rolf', 'olga')`,
  )
  const [reader, operator] = [await signIn(system.url, 'rolf'), await signIn(system.url, 'olga')]
  const paths = [
    'dead-letters',
    'dead-letters/1',
    `trace/${ana.id}/1`,
    'tables/social.posts',
    'tables/notify.pending',
    'tables/notify.deliveries',
  ]
  for (const path of paths) {
    t.notMatch(JSON.stringify(await reader.get(`/admin/${path}`)), /harbour|a private word|private@example/, path)
    t.match(await reader.request('GET', `/admin/${path}?reveal=true`), { status: 403, body: { code: 'FORBIDDEN' } })
  }
  t.same((await reader.get('/admin/dead-letters/1')).event, { sourceId: 'like:1:1' })
  for (const path of ['dead-letters', 'dead-letters/1'])
    t.match(JSON.stringify(await operator.get(`/admin/${path}?reveal=true`)), /a private word/)
  const { items } = await admin.get('/admin/audit?action=dead_letter.reveal')
  t.match(items, [
    { actor: `user:${operator.id}`, target: 'dead_letter:1' },
    { actor: `user:${operator.id}`, target: null },
  ])
  await system.pool.query(`update social.users set role = 'reader' where username = 'olga'`)
  t.equal(
    (await operator.request('GET', '/admin/dead-letters/1?reveal=true')).status,
    403,
    'a withdrawn role ends at once',
  )
})

t.test('the stream shows a like at each stage of the pipeline, once', async (t) => {
  const { system, admin, ana } = story
  const [post] = (await ana.get('/posts?scope=all')).items
  const gus = await system.as('gus')
  const abort = new AbortController()
  t.teardown(() => abort.abort())
  const response = await fetch(`${system.url}/admin/pipeline/stream`, {
    headers: { authorization: `Bearer ${admin.accessToken}` },
    signal: abort.signal,
  })
  t.match(response.headers.get('content-type'), 'text/event-stream')
  let text = ''
  const reading = (async () => {
    for await (const chunk of response.body ?? []) text += Buffer.from(chunk).toString()
  })().catch(() => undefined)
  await eventually(() => text.includes('event: tick'))
  await gus.like(post.id)
  await gus.follow(ana.id)
  const events = () =>
    [...text.matchAll(/^data: (.+)$/gm)].flatMap(
      ([, data = '']) => JSON.parse(data).events as { stage: string; id: string; sourceId: string }[],
    )
  await eventually(() =>
    events().some(({ stage, sourceId }) => stage === 'write' && sourceId === `like:${post.id}:${gus.id}`),
  )
  await eventually(() => events().some(({ stage }) => stage === 'inbox'))
  const shown = [...text.matchAll(/^data: (.+)$/gm)]
    .map(([, data = '']) => JSON.parse(data))
    .find((tick) => tick.events.length > 0)
  if (PSQL) {
    const { body } = await admin.request('GET', `/admin/sql/${shown.sql.pipeline.name}`)
    const printed = await runByPsql(system.databaseUrl, body, shown.sql.pipeline.parameters)
    const found = new Set(printed.map(({ stage, id }) => `${stage} ${id}`))
    t.same(
      shown.events.filter(({ stage, id }: { stage: string; id: string }) => !found.has(`${stage} ${id}`)),
      [],
      'the rows that its SQL returns in psql',
    )
  }
  const keys = events().map(({ stage, id }) => `${stage} ${id}`)
  t.equal(new Set(keys).size, keys.length, 'each once')
  abort.abort()
  await reading
})

t.test('a withdrawn role ends the streams, and makes room for other viewers', async (t) => {
  const { system, admin } = story
  await system.as('dan')
  await system.pool.query(`update social.users set role = 'reader' where username = 'dan'`)
  const dan = await signIn(system.url, 'dan')
  const open = (viewer: TestClient) =>
    fetch(`${system.url}/admin/pipeline/stream`, {
      headers: { authorization: `Bearer ${viewer.accessToken}` },
      signal: AbortSignal.timeout(60_000),
    })
  const streams = await Promise.all(Array.from({ length: 50 }, () => open(dan)))
  const refused = await open(admin)
  t.match(await refused.json(), { code: 'BUSY', detail: 'Too many viewers of the pipeline' })
  t.equal(refused.headers.get('retry-after'), '1')

  const { status } = await admin.request('PUT', `/admin/users/${dan.id}/role`, { role: 'user' })
  t.equal(status, 200)
  const texts = await Promise.all(streams.map((stream) => stream.text()))
  t.equal(texts.length, 50, 'each stream ends')
  const after = await open(admin)
  t.equal(after.status, 200)
  await after.body?.cancel()
})

async function runByPsql(url: string, text: string, parameters: Sql['parameters']): Promise<Record<string, string>[]> {
  const values = parameters.map((value) => (value === null ? 'null' : `'${String(value).replaceAll("'", "''")}'`))
  const run = promisify(execFile)(PSQL ?? '', ['-Xq', '--csv', '-v', 'ON_ERROR_STOP=1', url])
  run.child.stdin?.end(
    `set role ravenpost_readonly;\nprepare shown as ${text.trim()};\nexecute shown${values.length > 0 ? `(${values.join(', ')})` : ''};\n`,
  )
  return parseCsv((await run).stdout)
}

function parseCsv(text: string): Record<string, string>[] {
  const rows: string[][] = [[]]
  for (const [, quoted, plain, end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^,\n"]*))(,|\n|$)/g)) {
    rows.at(-1)?.push(quoted?.replaceAll('""', '"') ?? plain ?? '')
    if (end === '\n') rows.push([])
    if (end === '') break
  }
  const [head = [], ...found] = rows
  return found
    .filter((row) => row.length === head.length)
    .map((row) => Object.fromEntries(head.map((name, at) => [name, row[at] ?? ''])))
}

/** A value of an answer as psql prints it; times, numbers and JSON by their value. */
function asPrinted(value: unknown): string {
  if (value === null) return ''
  if (typeof value === 'boolean') return value ? 't' : 'f'
  if (Array.isArray(value) && value.every((item) => typeof item === 'string')) return `{${value.join(',')}}`
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}

/** Leaves out values that change between two reads, and gives equal values the same format. */
function withoutAges(row: Record<string, string>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(row)
      .filter(
        ([name]) =>
          !/^(at|position|olderThan|processes|figures|memoryBytes|seenAt|beatAt|movedAt|.*Seconds|.*Queue.*|bytes|jobs.*|oldestRunAt|rows)$/.test(
            name,
          ) ||
          (name === 'rows' && /^\d+$/.test(row[name] ?? '')),
      )
      .map(([name, value]) => [name, normal(value)]),
  )
}

function normal(value: string): unknown {
  if (/^\d{4}-\d\d-\d\d[ T]/.test(value)) return new Date(value).toISOString()
  if (value.startsWith('{"') || value.startsWith('[')) return JSON.parse(value)
  return value
}
