import fc, { type Arbitrary } from 'fast-check'
import type { InjectOptions } from 'fastify'
import { test } from 'tap'
import { grantAdmin } from '../../src/accounts/admin.ts'
import { signIn, type TestClient } from '../client.ts'
import { setup, type TestSystem } from '../setup.ts'
import { fitting, hostile, runs, type Schema, wild } from './arbitrary.ts'

type Operation = {
  security?: unknown[]
  parameters?: { name: string; in: string; schema: Schema }[]
  requestBody?: { content: Record<string, { schema: Schema }> }
  responses: Record<string, unknown>
}
type Request = { name: string; method: string; url: string; body: string | undefined; operation: Operation }

const MIB = 1024 * 1024

test('whatever a call is sent, it answers as the document says, and never with 5xx', async (t) => {
  const system = await setup(t, { worker: true })
  const { server, pool } = system
  const tablesBefore = await tables(pool)
  let client = await newAdmin(system, 0)
  for (const body of ['one', 'two']) await client.comment((await client.post(body)).id, 'Well said')
  const document = (await server.inject('/openapi.json')).json()
  const calls = Object.entries<Record<string, Operation>>(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => requestOf(method, path, operation)),
  )
  const found: Record<string, number> = {}
  /** With the last request that led to it. */
  const wrong = new Map<string, string>()
  const memoryBefore = process.memoryUsage().rss

  let n = 0
  await fc.assert(
    fc.asyncProperty(fc.oneof(...calls), async (request) => {
      n += 1
      const { name, method, url, body, operation } = request
      const answer = await server.inject({
        method: method as InjectOptions['method'],
        url,
        headers: { authorization: `Bearer ${client.accessToken}`, 'content-type': 'application/json' },
        payload: body,
      })
      const status = String(answer.statusCode)
      found[status] = (found[status] ?? 0) + 1
      const code = /json/.test(String(answer.headers['content-type'])) ? answer.json()?.code : undefined
      if (status === '503' && name === 'GET /readyz') return
      const example = () => `${url} ${body?.slice(0, 500)}`
      if (answer.statusCode >= 500) wrong.set(`${name} answers ${status} ${code}`, example())
      if (!(status in operation.responses) && code !== 'ROUTE_NOT_FOUND')
        wrong.set(`${name} answers ${status} ${code}, of which the document knows nothing`, example())
      // It may have ended its own session, or deleted itself.
      if (code === 'UNAUTHENTICATED') client = await newAdmin(system, n)
    }),
    { numRuns: runs },
  )

  t.comment(JSON.stringify(found))
  t.same([...wrong], [])
  t.ok(Object.keys(found).length > 4, 'calls of many outcomes were made')
  t.same(await tables(pool), tablesBefore, 'and no text was taken for a statement')
  t.notOk('admin' in {} || 'unheardOf' in {}, 'nor for a prototype')
  const grown = (process.memoryUsage().rss - memoryBefore) / MIB
  t.ok(grown < 400, `${Math.round(grown)} MiB more than before`)
})

/** Requests of one call: most ids are of things that are there. */
function requestOf(method: string, path: string, { ...operation }: Operation): Arbitrary<Request> {
  const { parameters = [], requestBody } = operation
  const textFor = (schema: Schema) =>
    fc.oneof({ weight: 6, arbitrary: fitting(schema) }, { weight: 1, arbitrary: hostile }).map(String)
  const inPath = parameters.filter((each) => each.in === 'path')
  const inQuery = parameters.filter((each) => each.in === 'query')
  const query = fc.record(Object.fromEntries(inQuery.map(({ name, schema }) => [name, textFor(schema)])), {
    requiredKeys: [],
  })
  const body = requestBody?.content['application/json']?.schema
  return fc
    .record({
      ids: fc.tuple(...inPath.map(({ schema }) => textFor(schema))),
      query,
      body: body ? wild(body).map((value) => JSON.stringify(value)) : fc.constant(undefined),
    })
    .map(({ ids, query, body }) => {
      const target = inPath.reduce((text, { name }, i) => text.replace(`{${name}}`, encode(ids[i] ?? '')), path)
      const text = Object.entries(query)
        .map(([name, value]) => `${name}=${encode(value ?? '')}`)
        .join('&')
      const verb = method.toUpperCase()
      return { name: `${verb} ${path}`, method: verb, url: text ? `${target}?${text}` : target, body, operation }
    })
}

/** As encodeURIComponent, which refuses lone surrogates. */
function encode(text: string): string {
  return encodeURIComponent(text.toWellFormed())
}

async function newAdmin({ as, url, pool }: TestSystem, n: number): Promise<TestClient> {
  const { username } = await as(`fuzzer_${n}`)
  await grantAdmin(pool, username)
  return signIn(url, username)
}

async function tables(pool: TestSystem['pool']): Promise<unknown[]> {
  const { rows } = await pool.query(
    `select oid::regclass::text as name from pg_class where relnamespace in ('social'::regnamespace, 'ops'::regnamespace) order by 1`,
  )
  return rows
}
