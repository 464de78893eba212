import { readFileSync } from 'node:fs'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { pino } from 'pino'
import { test } from 'tap'
import { createOpsServer } from '../../src/api/ops-server.ts'
import { createServer } from '../../src/api/server.ts'
import { closeApp, createApp } from '../../src/app.ts'
import { signAccessToken } from '../../src/social/sessions/tokens.ts'
import { call, signIn } from '../client.ts'
import { TestSocket } from '../push/socket.ts'
import { eventually, setup, testConfig } from '../setup.ts'

test('a running process is alive and ready', async (t) => {
  const { url } = await setup(t)
  t.match(await call(url, 'GET', '/healthz'), { status: 200, body: { alive: true } })
  t.match(await call(url, 'GET', '/readyz'), { status: 200, body: { ready: true } })
})

test('a process without its database is alive but not ready', async (t) => {
  const app = createApp(testConfig('postgres://nobody@127.0.0.1:1/none'), pino({ level: 'silent' }))
  const server = await createServer(app)
  t.teardown(async () => {
    await server.close()
    await closeApp(app)
  })
  t.equal((await server.inject('/healthz')).statusCode, 200)
  const { statusCode, body } = await server.inject('/readyz')
  t.equal(statusCode, 503)
  t.match(JSON.parse(body), { ready: false, reason: 'the database cannot be reached' })
  const token = signAccessToken(app.config, { userId: '1', sessionId: '1', role: 'user' })
  const asked = await server.inject({ url: '/users/1', headers: { authorization: `Bearer ${token}` } })
  t.equal(asked.statusCode, 503)
  t.equal(asked.headers['retry-after'], '1')
  t.match(JSON.parse(asked.body), { code: 'BUSY' })
})

test('a process without LISTEN or with a missing migration is not ready and says why', async (t) => {
  const { app, pool, url } = await setup(t)
  let listening = false
  const server = await createServer(app, { listenAlive: () => listening })
  t.teardown(() => server.close())
  const ready = async () => {
    const { statusCode, body } = await server.inject('/readyz')
    return [statusCode, JSON.parse(body).reason]
  }
  t.match(await ready(), [503, /LISTEN/])
  listening = true
  t.same(await ready(), [200, undefined])
  const becomes = (reason: RegExp) =>
    eventually(async () => {
      const [status, body] = await ready()
      return status === 503 && reason.test(body)
    })
  await pool.query(`delete from notify.migrations where name = '0007_ops'`)
  await becomes(/run: 0007_ops$/)
  await pool.query('alter table notify.migrations rename to migrations_away')
  await becomes(/migrations have not been run: 0001/)
  t.match(await call(url, 'GET', '/healthz'), { status: 200 })
})

test('metrics cover the log, the jobs and the process', async (t) => {
  const { url, as } = await setup(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  await ana.follow(ben.id)
  await call(url, 'POST', '/auth/signin', { login: 'ana', password: 'a wrong one' })
  const { status, headers, body } = await call(url, 'GET', '/metrics')
  t.equal(status, 200)
  t.match(headers.get('content-type'), /^text\/plain/)
  t.match(body, /^ravenpost_outbox_length\{consumer="counters",lane="0"\} 1$/m)
  t.match(body, /^ravenpost_outbox_oldest_seconds\{consumer="counters",lane="0"\} \d/m)
  t.match(body, /^ravenpost_rejected_sign_ins_total [1-9]/m)
  for (const name of METRICS) t.match(body, new RegExp(`^# HELP ravenpost_${name} `, 'm'))
})

test('metrics count requests by method, pattern of the route and class of the status', async (t) => {
  const { url, as } = await setup(t, { env: { RATE_LIMIT_SCALE: '0.01' } })
  const ana = await as('ana')
  const scrape = async () => samplesOf((await call(url, 'GET', '/metrics')).body)
  const before = await scrape()
  t.equal((await call(url, 'GET', '/nowhere/4711')).status, 404)
  const post = `/posts/${(await ana.post('Hello')).id}`
  t.equal((await ana.request('GET', post)).status, 200)
  t.equal((await ana.request('HEAD', post)).status, 200)
  const limited = await Promise.all(Array.from({ length: 12 }, () => ana.request('GET', '/posts/999')))
  const count = (status: number) => limited.filter((answer) => answer.status === status).length
  t.ok(count(404) > 0 && count(429) > 0)

  // The last response is counted after the client has it.
  const wanted = `ravenpost_http_requests_total{method="GET",route="/posts/:id",status="4xx"}`
  const after = await eventually(async () => {
    const now = await scrape()
    return (now.get(wanted) ?? 0) - (before.get(wanted) ?? 0) === 12 && now
  })
  const grown = (name: string) => (after.get(name) ?? 0) - (before.get(name) ?? 0)
  const requests = (labels: string) => grown(`ravenpost_http_requests_total{${labels}}`)
  t.equal(requests('method="GET",route="/posts/:id",status="2xx"'), 1)
  t.equal(requests('method="HEAD",route="/posts/:id",status="2xx"'), 1)
  t.equal(requests('method="POST",route="/posts",status="2xx"'), 1)
  t.equal(requests('method="any",route="none",status="4xx"'), 1)
  t.equal(grown('ravenpost_http_refused_total{status="429"}'), count(429))
  const ofPost = 'method="GET",route="/posts/:id"'
  t.equal(grown(`ravenpost_http_request_seconds_count{${ofPost}}`), 13)
  t.equal(grown(`ravenpost_http_request_seconds_bucket{${ofPost},le="+Inf"}`), 13)
  t.ok(grown(`ravenpost_http_request_seconds_sum{${ofPost}}`) > 0)
  t.notOk(
    [...after.keys()].some((sample) => /4711|999/.test(sample)),
    'no series of a single path',
  )
})

function samplesOf(text: string): Map<string, number> {
  const samples = [...text.matchAll(/^(\w+\{.*\}) (\S+)$/gm)]
  return new Map(samples.map(([, name = '', value]) => [name, Number(value)]))
}

/** The required metrics, by name. */
const METRICS = [
  ...['outbox_length', 'outbox_oldest_seconds', 'dispatch_batch_size', 'dispatch_batch_seconds', 'retries_total'],
  ...[
    'dead_letters',
    'pending_events',
    'failing_windows',
    'jobs',
    'emitted_total',
    'emit_failures_total',
    'acknowledged_total',
    'read_total',
  ],
  ...['rejected_sign_ins_total', 'rejected_hellos_total', 'sockets', 'frames_sent_total', 'listening'],
  ...['listening_since_seconds', 'notification_queue_usage', 'pool_connections', 'database_up'],
]

test('metrics follow a like from the log to the socket', async (t) => {
  const system = await setup(t, { worker: true, push: true })
  const { url, as } = system
  const [ana, ben] = [await as('ana'), await as('ben')]
  const metrics = async (): Promise<string> => (await call(url, 'GET', '/metrics')).body
  const sampleOf = (text: string, name: string) =>
    Number(new RegExp(`^ravenpost_${name} (\\S+)$`, 'm').exec(text)?.[1] ?? 0)
  const before = await metrics()
  const socket = await TestSocket.open(t, `${url.replace('http', 'ws')}/ws`)
  socket.send({ type: 'hello', token: ana.accessToken })
  await socket.next('synced')
  await ben.like((await ana.post('Hello')).id)
  const { to, upserts } = await socket.next('changes')
  socket.send({ type: 'ack', state: to })
  await eventually(async () => (await ana.get('/notifications/pending')).items.length === 0)
  await ana.request('PATCH', `/notifications/${upserts[0]?.id}/read`)
  const stranger = await TestSocket.open(t, `${url.replace('http', 'ws')}/ws`)
  stranger.send({ type: 'hello', token: 'not one of ours' })
  t.equal(await stranger.closed(), 4401)

  await system.pool.query(`select graphile_worker.add_job('purge-expired', run_at := now() + interval '1 hour')`)
  const after = await eventually(async () => {
    const text = await metrics()
    return /^ravenpost_jobs\{task="purge-expired"/m.test(text) && text
  })
  const grown = (name: string) => sampleOf(after, name) - sampleOf(before, name)
  for (const name of ['acknowledged_total', 'read_total']) t.equal(grown(name), 1, name)
  t.ok(grown('emitted_total') >= 1)
  t.equal(grown('rejected_hellos_total{code="4401"}'), 1)
  t.ok(grown('frames_sent_total{type="changes"}') >= 1)
  t.equal(grown('sockets'), 1)
  t.ok(grown('dispatch_batch_size_count{consumer="notifications"}') >= 1)
  t.ok(Math.abs(sampleOf(after, 'listening_since_seconds') - Date.now() / 1000) < 600)
  t.match(after, /^ravenpost_jobs\{task="purge-expired",state="scheduled"\} [1-9]/m)
  for (const name of ['app', 'ops', 'push', 'worker', 'jobs'])
    t.match(after, new RegExp(`^ravenpost_pool_connections\\{pool="${name}",state="open"\\} [1-9]`, 'm'))
  t.match(after, /^ravenpost_database_up 1$/m)

  const exist = new Set([...after.matchAll(/^# TYPE (\w+)/gm)].map(([, name]) => name))
  const docs = ['alerts.yml', 'grafana.json'].map((name) => readFileSync(`${import.meta.dirname}/../../docs/${name}`))
  const named = [...docs.join().matchAll(/\b(?:ravenpost|nodejs)_\w+/g)].map(([name]) => name.replace(/_bucket$/, ''))
  t.ok(named.length > 20)
  t.same(
    named.filter((name) => !exist.has(name)),
    [],
    'docs/alerts.yml and docs/grafana.json name only metrics that exist',
  )
})

test('a database that does not answer makes the process unready', async (t) => {
  const blackHole = createTcpServer(() => undefined)
  await new Promise<void>((resolve) => blackHole.listen(0, '127.0.0.1', resolve))
  const { port } = blackHole.address() as AddressInfo
  const app = createApp(testConfig(`postgres://nobody@127.0.0.1:${port}/none`), pino({ level: 'silent' }))
  const server = await createServer(app)
  t.teardown(async () => {
    blackHole.close()
    await server.close()
    await closeApp(app)
  })
  const { statusCode, body } = await server.inject('/readyz')
  t.equal(statusCode, 503)
  t.match(JSON.parse(body), { ready: false, reason: 'the database cannot be reached' })
  const { statusCode: scraped, body: text } = await server.inject('/metrics')
  t.equal(scraped, 200)
  t.match(text, /^ravenpost_database_up 0$/m)
})

test('with METRICS_TOKEN set, metrics require it', async (t) => {
  const { url } = await setup(t, { env: { METRICS_TOKEN: 'a token for the scraper' } })
  t.match(await call(url, 'GET', '/metrics'), { status: 401, body: { code: 'UNAUTHENTICATED' } })
  const scrape = (token: string) => call(url, 'GET', '/metrics', undefined, { authorization: `Bearer ${token}` })
  t.equal((await scrape('another token, as long as')).status, 401)
  t.equal((await scrape('a token for the scraper')).status, 200)
})

test('a process without the api role serves only probes and metrics', async (t) => {
  const { app } = await setup(t)
  const server = await createOpsServer(app, {})
  t.teardown(() => server.close())
  t.equal((await server.inject('/readyz')).statusCode, 200)
  const other = await server.inject('/auth/me')
  t.equal(other.statusCode, 404)
  t.ok(other.headers['x-request-id'])
})

test('dry runs of dead letters and drafts of broadcasts need one connection each', async (t) => {
  const { pool, as, url } = await setup(t, { env: { POOL_SIZE: '2' } })
  const ana = await as('ana')
  await pool.query(`update social.users set role = 'admin' where id = $1`, [ana.id])
  const admin = await signIn(url, 'ana')
  const { rows } = await pool.query<{ id: string }>(
    `insert into notify.pending (consumer, event_id, recipient_id, event, attempts, last_error, dead_at)
     select 'notifications', id, $1::bigint, event, 12, 'why', now()
     from (select 7 as id, jsonb_build_object('id', 7, 'action', 'send', 'retracts', false, 'counted', false, 'sourceId', 'send:7',
       'type', 'system', 'recipientId', $2::text, 'actorId', null, 'objectType', null, 'objectId', null, 'threadKey', null,
       'groupKey', null, 'data', '{"title": "Hello", "data": {}}'::jsonb, 'requestId', null) as event) e
     returning id`,
    [ana.id, ana.id],
  )
  const statuses = async (path: string, body?: object) => {
    // Types that were read more than two seconds ago are read again.
    const until = performance.now() + 2100
    await eventually(() => performance.now() > until)
    const answers = await Promise.all(Array.from({ length: 6 }, () => admin.request('POST', path, body)))
    return [...new Set(answers.map(({ status }) => status))]
  }
  t.same(await statuses('/admin/broadcasts', { name: 'News', content: { title: 'News' }, everyone: true }), [201])
  t.same(await statuses(`/admin/dead-letters/${rows[0]?.id}/dry-run`), [200])
})

test('admins list, read and replay dead letters, each once', async (t) => {
  const { pool, as, url } = await setup(t)
  const ana = await as('ana')
  await pool.query(`update social.users set role = 'admin' where id = $1`, [ana.id])
  const { body: session } = await call(url, 'POST', '/auth/refresh', { refreshToken: ana.refreshToken })
  const asAdmin = (method: string, path: string) =>
    call(url, method, path, undefined, { authorization: `Bearer ${session.accessToken}` })
  const { rows } = await pool.query<{ id: string }>(
    `insert into notify.pending (consumer, event_id, recipient_id, event, attempts, last_error, dead_at)
     select 'notifications', n, 1, jsonb_build_object('sourceId', 'like:1:' || n, 'type', 'post.liked'), 9, 'why', now()
     from generate_series(1, 3) n returning id`,
  )
  const ids = rows.map(({ id }) => id)

  const first = await asAdmin('GET', '/admin/dead-letters?limit=2')
  t.match(first.body.items, [
    { id: ids[2], sourceId: 'like:1:3', type: 'post.liked', lastError: 'why', attempts: 9 },
    { id: ids[1] },
  ])
  const second = await asAdmin('GET', `/admin/dead-letters?limit=2&cursor=${first.body.nextCursor}`)
  t.match(second.body, { items: [{ id: ids[0] }], nextCursor: null })

  const path = `/admin/dead-letters/${ids[0]}`
  t.match((await asAdmin('GET', path)).body, { id: ids[0], event: { sourceId: 'like:1:1' } })
  t.match(await asAdmin('POST', `${path}/replay`), { status: 202, body: { replayed: true } })
  for (const [method, gone] of [
    ['GET', path],
    ['POST', `${path}/replay`],
  ] as const)
    t.match(await asAdmin(method, gone), { status: 404, body: { code: 'DEAD_LETTER_NOT_FOUND' } })
  const { rows: pending } = await pool.query('select id, attempts from ops.pending')
  t.same(pending, [{ id: ids[0], attempts: 0 }])
  for (const [method, closed] of [
    ['GET', '/admin/dead-letters'],
    ['GET', path],
    ['POST', `${path}/replay`],
  ] as const)
    t.match(await ana.request(method, closed), { status: 403, body: { code: 'FORBIDDEN' } })
})

test('a dead letter shows what a replay would do now, and dead letters with the same cause are replayed together', async (t) => {
  const { pool, as, url } = await setup(t)
  const [ana, ben] = [await as('ana'), await as('ben')]
  await pool.query(`update social.users set role = 'operator' where id = $1`, [ben.id])
  const operator = await signIn(url, 'ben')
  const event = (n: number, change = {}) => ({
    ...{ id: n, action: 'send', retracts: false, counted: false, sourceId: `send:${n}`, type: 'system' },
    ...{ recipientId: ana.id, actorId: null, objectType: null, objectId: null, threadKey: null, groupKey: null },
    ...{ data: { title: 'Hello', data: {} }, requestId: null },
    ...change,
  })
  const bury = async (copy: { id: number }, error: string) => {
    const { rows } = await pool.query(
      `insert into notify.pending (consumer, event_id, recipient_id, event, attempts, last_error, error_class, dead_at)
       values ('notifications', $1, $2, $3, 12, $4, '22P02', now()) returning id`,
      [copy.id, ana.id, copy, error],
    )
    return rows[0].id as string
  }
  const good = await bury(event(1), 'invalid value "7" in row 7')
  const gone = await bury(event(2, { recipientId: '999999999' }), 'invalid value "8" in row 12')
  const broken = await bury(event(3, { data: 7 }), 'another reason')

  const dryRun = (id: string) => operator.request('POST', `/admin/dead-letters/${id}/dry-run`)
  const all = async () =>
    (
      await pool.query(
        `select (select json_agg(i order by user_id) from notify.inbox i) as i, (select json_agg(n) from notify.notifications n) as n,
           (select json_agg(s) from notify.sources s) as s, (select json_agg(p order by id) from notify.pending p) as p`,
      )
    ).rows
  const before = await all()
  const counts = (n: number) => ({ unreadCount: n, unseenCount: n })
  t.match(await dryRun(good), {
    status: 200,
    body: {
      outcome: 'applies',
      decision: 'shown',
      notificationId: '1',
      before: counts(0),
      after: counts(1),
      error: null,
    },
  })
  t.match((await dryRun(gone)).body, { outcome: 'applies', decision: null, before: null, after: null })
  t.match((await dryRun(broken)).body, { outcome: 'fails', error: /malformed at \/data/ })
  const holder = await pool.connect()
  await holder.query('begin')
  await holder.query('select from notify.inbox where user_id = $1 for update', [ana.id])
  t.match((await dryRun(good)).body, { outcome: 'waits' })
  await holder.query('rollback')
  holder.release()
  t.same(await all(), before, 'nothing was written')

  const cause = '22P02: invalid value … in row #'
  t.match((await operator.get('/admin/dead-letters/causes')).items, [
    { cause, count: 2, upTo: gone },
    { cause: '22P02: another reason', count: 1, upTo: broken },
  ])
  t.match((await operator.get(`/admin/dead-letters?cause=${encodeURIComponent(cause)}`)).items, [
    { id: gone, cause },
    { id: good, cause },
  ])
  const later = await bury(event(4), 'invalid value "9" in row 13')
  const key = { 'idempotency-key': 'once' }
  for (const replayed of [undefined, 'true']) {
    const answer = await operator.request('POST', '/admin/dead-letters/replay', { cause, upTo: gone }, key)
    t.match(answer, { status: 202, body: { replayed: 2 } })
    t.equal(answer.headers.get('idempotent-replayed') ?? undefined, replayed)
  }
  const left = (await operator.get('/admin/dead-letters')).items.map(({ id }: { id: string }) => id)
  t.same(left, [later, broken], 'what came later, and of another cause, stays')
  t.match(await operator.request('POST', '/admin/dead-letters/replay', { upTo: later }), { body: { replayed: 2 } })
  const { items } = await operator.get('/admin/audit?action=dead_letter.replay')
  t.match(items, [{ after: { upTo: later, replayed: 2 } }, { after: { cause, upTo: gone, replayed: 2 } }])
})
