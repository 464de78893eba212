import type { Pool } from 'pg'
import t, { type Test, test } from 'tap'
import { grantAdmin } from '../../src/social/accounts/admin.ts'
import { type Answer, call, signIn } from '../client.ts'
import { setup } from '../setup.ts'
import { someOf } from '../size.ts'

/** A body that each call accepts, so that only the test's addition is invalid. */
const VALID: Record<string, unknown> = {
  'POST /notifications/preferences/what-if': { preferences: {} },
  'POST /auth/signup': { username: 'zoe', email: 'zoe@example.org', password: 'correct horse' },
  'POST /auth/signin': { login: 'ana', password: 'correct horse' },
  'POST /webhooks': { url: 'https://example.org/hooks', events: ['notification.read'] },
  'POST /webhooks/{id}/recover': { since: '2026-01-01T00:00:00Z' },
  'POST /admin/templates': { name: 'Invoice', title: 'Invoice' },
  'POST /admin/templates/preview': { template: { title: 'Invoice' } },
  'POST /admin/users/{id}/what-if': { preferences: {} },
  'PATCH /admin/templates/{id}': { title: 'Invoice' },
  'POST /admin/segments': { name: 'Germans', rule: { locale: 'de' } },
  'PATCH /admin/segments/{id}': { name: 'Germans' },
  'POST /admin/segments/estimate': { rule: { locale: 'de' } },
  'POST /admin/broadcasts': { name: 'News', content: { title: 'News' }, everyone: true },
  'PUT /admin/broadcasts/{id}': { name: 'News', content: { title: 'News' }, everyone: true },
  'POST /admin/broadcasts/{id}/recall': {},
  'POST /admin/broadcasts/{id}/test': { userIds: ['1'] },
  'POST /posts': { body: 'Hello' },
  'PATCH /posts/{id}': { body: 'Hello' },
  'POST /posts/{id}/comment': { body: 'Hello' },
  'PATCH /comments/{id}': { body: 'Hello' },
  'PUT /users/{id}/bell': { enabled: true },
  'POST /notifications/read': { ids: ['1'] },
  'POST /notifications/archive': { ids: ['1'] },
  'POST /admin/dead-letters/replay': { upTo: '1' },
  'PUT /admin/users/{id}/role': { role: 'reader' },
  'POST /notifications/delete': { ids: ['1'] },
}
/** The same for queries. */
const VALID_QUERY: Record<string, string> = {
  'GET /admin/users': '?q=ana',
  'GET /admin/users/{id}/why-not': '?sourceId=like:1:1',
  'GET /admin/trace': '?requestId=1',
}
/** That a user is unknown is one of their answers. */
const EXPLAINS = ['GET /admin/users/{id}/why-not']
const UNKNOWN_ID = '999999999'

type Call = { name: string; method: string; path: string; open: boolean; query: string[]; takesBody: boolean }

const { url, pool, as } = await setup(t)
await as('ana')
await grantAdmin(pool, 'ana')
/** So that the calls for admins are reached too. */
const ana = await signIn(url, 'ana')
const calls = await callsOf(url)

test('without a valid token every non-public call answers 401', async (t) => {
  for (const { name, method, path, open } of calls) {
    if (open) continue
    for (const authorization of someOf('', 'Bearer', 'Bearer x.y.z', 'Basic YTpi'))
      refused(t, await call(url, method, path.replace('{id}', '1'), VALID[name], { authorization }), 401, name)
  }
})

test('malformed and unknown ids in paths are refused', async (t) => {
  for (const { name, method, path } of calls.filter((each) => each.path.includes('{id}'))) {
    const unknown = /^\/(media|push)\//.test(path) ? 'A'.repeat(22) : UNKNOWN_ID
    const ask = (id: string) => ana.request(method, path.replace('{id}', id) + (VALID_QUERY[name] ?? ''), VALID[name])
    for (const id of someOf('x', '0', '-1', '1.5', '1e3', '%00', '%27', '9999999999999999999'))
      refused(t, await ask(id), 400, `${name} ${id}`)
    if (!EXPLAINS.includes(name)) refused(t, await ask(unknown), 404, `${name} ${unknown}`)
  }
})

test('unknown or out-of-range query parameters are refused', async (t) => {
  for (const { name, method, path, query, open } of calls) {
    if (open) continue
    const ask = async (parameters: string) => {
      const answer = await ana.request(method, `${path.replace('{id}', ana.id)}?${parameters}`, VALID[name])
      refused(t, answer, 400, `${name} ${parameters}`)
    }
    await ask('unheard_of=1')
    if (query.includes('limit'))
      for (const limit of someOf('0', '-1', '501', '1.5', 'x', '', '1e999')) await ask(`limit=${limit}`)
    if (query.includes('cursor')) {
      const malformed = ['x', '1,2,3,4', '1;drop', '9'.repeat(30)].map(encode)
      for (const cursor of someOf('x', '%00', ...malformed, 'x'.repeat(300))) await ask(`cursor=${cursor}`)
    }
  }
})

test('invalid bodies are refused and write nothing', async (t) => {
  const post = await ana.post('Hello')
  const before = await contents(pool)
  for (const { name, method, path, takesBody } of calls) {
    // media/upload.test.ts tests invalid uploads.
    if (method === 'GET' || name === 'POST /media/upload') continue
    const send = (body: unknown, headers = {}) => ana.request(method, path.replace('{id}', post.id), body, headers)
    const valid = JSON.stringify(VALID[name] ?? {})
    refused(t, await send(`${valid.slice(0, -1)},`), 400, `${name} truncated`)
    refused(t, await send(valid, { 'content-type': 'text/plain' }), 415, `${name} text/plain`)
    refused(t, await send('<a/>', { 'content-type': 'application/xml' }), 415, `${name} xml`)
    for (const wrong of someOf('null', '[]', '"x"', '7', 'true', '{"__proto__":{}}'))
      refused(t, await send(wrong), 400, `${name} ${wrong}`)
    refused(t, await send({ ...Object(VALID[name] ?? {}), unheardOf: 1 }), 400, `${name} unknown property`)
    if (!takesBody) continue
    for (const [property, value] of Object.entries(VALID[name] ?? {}))
      for (const wrong of someOf<unknown>(
        null,
        7,
        {},
        [[]],
        '',
        'x'.repeat(6000),
        undefined,
        Array.isArray(value) ? ['x'] : ['1'],
      )) {
        if (JSON.stringify(wrong) === JSON.stringify(value)) continue
        refused(t, await send({ ...Object(VALID[name]), [property]: wrong }), 400, `${name} ${property} ${wrong}`)
      }
  }
  t.same(await contents(pool), before)
})

function refused(t: Test, { status, headers, body }: Answer, expected: number, what: string): void {
  const found = {
    status,
    code: typeof body?.code,
    type: headers.get('content-type')?.split(';')[0],
    id: headers.has('x-request-id'),
  }
  t.same(
    found,
    { status: expected, code: 'string', type: 'application/problem+json', id: true },
    `${what}: ${body?.code}`,
  )
  if (body?.code === 'VALIDATION_FAILED')
    t.match(body.errors, [{ pointer: /^(\/|$)/, message: /./ }], `${what} says what is wrong`)
}

type Operation = { security?: unknown[]; parameters?: { in: string; name: string }[]; requestBody?: unknown }

/** Every call of the served document. */
async function callsOf(url: string): Promise<Call[]> {
  const { paths } = (await call(url, 'GET', '/openapi.json')).body
  return Object.entries<Record<string, Operation>>(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([verb, { security, parameters = [], requestBody }]) => {
      const method = verb.toUpperCase()
      const query = parameters.filter((each) => each.in === 'query').map((each) => each.name)
      return {
        name: `${method} ${path}`,
        method,
        path: path.replace('{deliveryId}', '1'),
        open: security?.length === 0,
        query,
        takesBody: requestBody !== undefined,
      }
    }),
  )
}

async function contents(pool: Pool): Promise<unknown[]> {
  const { rows } = await pool.query(
    `select (select json_agg(u order by id) from social.users u) as users, (select json_agg(p order by id) from social.posts p) as posts,
       (select json_agg(c) from social.comments c) as comments, (select json_agg(l) from social.likes l) as likes,
       (select json_agg(f) from social.follows f) as follows, (select json_agg(s order by id) from social.sessions s) as sessions,
       (select count(*) from notify.outbox) as events, (select json_agg(i order by user_id) from notify.inbox i) as inboxes`,
  )
  return rows
}

const encode = (text: string) => Buffer.from(text).toString('base64url')
