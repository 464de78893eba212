import { createHash } from 'node:crypto'
import pg, { type Pool } from 'pg'
import { test } from 'tap'
import { grantAdmin } from '../../src/social/accounts/admin.ts'
import { purge } from '../../src/worker/retention.ts'
import { type Answer, call, signIn, type TestClient } from '../client.ts'
import { vapid } from '../notify/channels/push-service.ts'
import { eventually, setup, type TestSystem } from '../setup.ts'
import { multipart, PIXEL, picture, send, sha256 } from '../social/media/files.ts'

type Creating = {
  name: string
  table: string
  make: (system: TestSystem, who: TestClient, key: string, other?: true) => Promise<Answer>
}

const creating: Creating[] = [
  {
    name: 'POST /posts',
    table: 'social.posts',
    make: (_system, who, key, other) =>
      who.request('POST', '/posts', { body: other ? 'Other' : 'Hello' }, { 'idempotency-key': key }),
  },
  {
    name: 'POST /posts/{id}/comment',
    table: 'social.comments',
    make: ({ pool }, who, key, other) =>
      firstPost(pool).then((id) =>
        who.request('POST', `/posts/${id}/comment`, { body: other ? 'Other' : 'Hello' }, { 'idempotency-key': key }),
      ),
  },
  {
    name: 'POST /media/upload',
    table: 'social.media',
    make: ({ url }, who, key, other) => {
      const { body, headers } = multipart(other ? picture(100) : PIXEL)
      return send(url, who, new Uint8Array(body), { ...headers, 'idempotency-key': key })
    },
  },
  {
    name: 'POST /push/subscriptions',
    table: 'notify.push_subscriptions',
    make: (_system, who, key, other) => {
      const endpoint = `https://push.example.org/${who.username}/${encodeURIComponent(key)}/${other ?? false}`
      const p256dh = 'BGsX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKWT-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU'
      const keys = { p256dh, auth: 'a'.repeat(22) }
      return who.request('POST', '/push/subscriptions', { endpoint, keys }, { 'idempotency-key': key })
    },
  },
]

for (const { name, table, make } of creating)
  test(`${name}: the same key and body create once, another body is refused`, async (t) => {
    const system = await setup(t, { env: vapid })
    const { as, pool } = system
    const [ana, ben] = [await as('ana'), await as('ben')]
    await ana.post('The first')
    const count = async () => (await pool.query(`select from ${table}`)).rowCount ?? 0
    const before = await count()

    const first = await make(system, ana, 'k1')
    t.equal(first.status, 201)
    t.equal(first.headers.get('idempotent-replayed'), null)
    const again = await make(system, ana, 'k1')
    t.equal(again.status, 201)
    t.equal(again.headers.get('idempotent-replayed'), 'true')
    t.same(again.body, first.body)
    t.equal(await count(), before + 1)
    t.match(await make(system, ana, 'k1', true), { status: 422, body: { code: 'IDEMPOTENCY_KEY_REUSED' } })
    t.not((await make(system, ben, 'k1')).body.id, first.body.id, 'a key is of one user')
    t.not((await make(system, ana, 'k2')).body.id, first.body.id)
    t.equal(await count(), before + 3)

    const many = await Promise.all(Array.from({ length: 4 }, () => make(system, ana, 'k3')))
    for (const { status, body, headers } of many)
      if (status !== 201) {
        t.match({ status, body }, { status: 409, body: { code: 'IDEMPOTENCY_KEY_BUSY' } })
        t.equal(headers.get('retry-after'), '1')
      }
    t.ok(many.some(({ status }) => status === 201))
    t.equal(new Set(many.filter(({ status }) => status === 201).map(({ body }) => body.id)).size, 1)
    t.equal(await count(), before + 4)
    await eventually(
      async () => (await pool.query('select from social.media_contents where sha256 is null')).rowCount === 0,
    )
    t.match(await make(system, ana, 'two words'), { status: 400, body: { code: 'VALIDATION_FAILED' } })
  })

test('failures are not stored: the same key can be retried', async (t) => {
  const { as, pool } = await setup(t)
  const ana = await as('ana')
  const ask = () => ana.request('POST', '/posts/1/comment', { body: 'Hello' }, { 'idempotency-key': 'k' })
  t.equal((await ask()).status, 404)
  await pool.query('alter sequence social.posts_id_seq restart with 1')
  await ana.post('Now it is there')
  t.equal((await ask()).status, 201)
  t.equal((await ask()).headers.get('idempotent-replayed'), 'true')
})

test('a key belongs to one call: another path is refused', async (t) => {
  const { as } = await setup(t)
  const ana = await as('ana')
  const headers = { 'idempotency-key': 'k' }
  const { id } = (await ana.request('POST', '/posts', { body: 'Hello' }, headers)).body
  t.match(await ana.request('POST', `/posts/${id}/comment`, { body: 'Hello' }, headers), {
    status: 422,
    body: { code: 'IDEMPOTENCY_KEY_REUSED' },
  })
})

test('a stored answer is only replayed to its caller', async (t) => {
  const { as, url } = await setup(t)
  const ana = await as('ana')
  const headers = { 'idempotency-key': 'k' }
  t.equal((await ana.request('POST', '/posts', { body: 'Hello' }, headers)).status, 201)
  t.equal((await call(url, 'POST', '/posts', { body: 'Hello' }, headers)).status, 401)
})

async function firstPost(pool: Pool): Promise<string> {
  const { rows } = await pool.query<{ id: string }>('select min(id) as id from social.posts')
  return rows[0]?.id ?? ''
}

test('advisory locks of another role do not block idempotent calls', async (t) => {
  const system = await setup(t, { env: vapid })
  const { as, pool, url, databaseUrl } = system
  const { id } = await as('ana')
  await grantAdmin(pool, 'ana')
  const ana = await signIn(url, 'ana')
  await ana.post('The first')
  const stranger = new pg.Client({ connectionString: databaseUrl, options: '-c role=ravenpost_emitter' })
  await stranger.connect()
  t.teardown(() => stranger.end())
  // What former versions locked: keys, browsers, files, sources of sends.
  const endpoint = `https://push.example.org/ana/key/false`
  const browser = createHash('sha256').update(endpoint).digest('base64url').slice(0, 22)
  for (const [text, seed] of [
    [`idempotency user:${id} key`, 0],
    [browser, 0],
    [`media:${sha256(PIXEL)}`, 0],
    [`send:user:${id}:shop-1`, 1],
  ])
    await stranger.query('select pg_advisory_lock(hashtextextended($1, $2))', [text, seed])
  for (const { name, make } of creating) {
    t.equal((await make(system, ana, 'key')).status, 201, name)
    await pool.query('delete from social.idempotency_keys')
  }
  const body = { recipientId: id, title: 'Hello', message: 'It is you', sourceId: 'shop-1' }
  const sent = await ana.request('POST', '/notifications/send', body, { 'idempotency-key': 'key' })
  t.equal(sent.status, 202, JSON.stringify(sent.body))
  const { rows } = await pool.query(
    `select oid::regprocedure::text as name from pg_proc
     where pronamespace::regnamespace::text in ('social', 'notify', 'ops', 'graphile_worker') and prosrc like '%pg\\_%advisory%'`,
  )
  t.same(rows, [], 'nor does a function of ours take one')
})

test('a call waits briefly for locked rows, then asks to retry', async (t) => {
  const system = await setup(t, { env: vapid })
  const { as, pool, databaseUrl } = system
  const { id } = await as('ana')
  await grantAdmin(pool, 'ana')
  const ana = await signIn(system.url, 'ana')
  await ana.post('The first')
  const holder = new pg.Client({ connectionString: databaseUrl, options: '-c role=ravenpost_app' })
  await holder.connect()
  t.teardown(() => holder.end())
  const body = { recipientId: id, title: 'Hello', message: 'It is you', sourceId: 'shop-1' }
  const calls = [
    ...creating.map(({ name, make }) => ({ name, ask: () => make(system, ana, 'key') })),
    { name: 'send', ask: () => ana.request('POST', '/notifications/send', body, { 'idempotency-key': 'key' }) },
  ]

  await holder.query('begin')
  await holder.query(
    `insert into social.idempotency_keys (caller, key, request_hash, status) values ($1, 'key', '', 0)`,
    [`user:${id}`],
  )
  for (const { name, ask } of calls) {
    const { status, body, headers } = await ask()
    t.match({ status, body }, { status: 409, body: { code: 'IDEMPOTENCY_KEY_BUSY' } }, name)
    t.equal(headers.get('retry-after'), '1')
  }
  await holder.query('rollback; begin; lock notify.named_locks in exclusive mode')
  for (const { name, ask } of calls.filter(({ name }) => !name.startsWith('POST /posts'))) {
    const { status, body, headers } = await ask()
    t.match({ status, body }, { status: 503, body: { code: /BUSY/ } }, name)
    t.equal(headers.get('retry-after'), '1')
  }
  t.match(await ana.request('POST', '/posts', { body: 'Hello' }), { status: 201 }, 'everything else goes on')
  await holder.query('rollback')
  for (const { name, ask } of calls) {
    t.ok([201, 202].includes((await ask()).status), name)
    await pool.query('delete from social.idempotency_keys')
  }

  const { rowCount: names } = await pool.query(
    `update notify.named_locks set used_at = now() - interval '2 days' where name like 'media:%' or name like 'browser:%'`,
  )
  await purge(system.app)
  t.same(
    [names, (await pool.query('select name from notify.named_locks')).rows],
    [2, [{ name: `send:user:${id}:shop-1` }]],
  )
})
