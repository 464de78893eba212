import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import fc, { type Arbitrary } from 'fast-check'
import pg from 'pg'
import { test } from 'tap'
import { type Dispatcher, Pool } from 'undici'
import { grantAdmin } from '../../src/social/accounts/admin.ts'
import { signIn, signUp, type TestClient } from '../client.ts'
import { type ServerProcess, startServerProcess } from '../server-process.ts'
import { cloneDatabase } from '../setup.ts'
import { fitting, hostile, runs, type Schema, wild } from './arbitrary.ts'
import { watchGrowth } from './growth.ts'

type Operation = {
  security?: unknown[]
  parameters?: { name: string; in: string; schema: Schema }[]
  requestBody?: { content: Record<string, { schema: Schema }> }
  responses: Record<string, unknown>
}
type Request = { name: string; method: string; url: string; body: string | undefined; operation: Operation }

/** Of 1 KiB kept per request, 80,000 more would leave 80 MiB. */
const WARM_UP = 20_000
const MEASURE_EVERY = 2_000

/** Users, each with requests in flight together. */
const USERS = 4
const AT_ONCE = 8

/**
 * Codes after which a request is repeated. All requests of a user lock one inbox, and one that waits for a second is refused
 * with such a code. On a busy machine that happens now and then; five times in a row is a fault.
 */
const COME_BACK = new Set(['BUSY', 'INBOX_BUSY', 'REQUEST_TOO_SLOW'])
const MOST_ATTEMPTS = 5

/** A few hundred requests in every run of the tests; by hand `FUZZ_RUNS=100000 npm test -- --timeout=7200 test/fuzz/requests.test.ts`. */
test('for any input, a call answers as documented, never with 5xx, and the server does not grow', async (t) => {
  t.setTimeout(7_200_000)
  const databaseUrl = await cloneDatabase(t)
  const pool = new pg.Pool({ connectionString: databaseUrl })
  // Before the wait for a lock ends: a deadlock is to be seen as one.
  await pool.query(`alter database ${new URL(databaseUrl).pathname.slice(1)} set deadlock_timeout = '200ms'`)
  const server = await startServerProcess(t, 'all', { DATABASE_URL: databaseUrl, RATE_LIMIT_SCALE: '1000' })
  const http = new Pool(server.url, { connections: USERS * AT_ONCE })
  t.teardown(() => Promise.all([pool.end(), http.close()]))
  const tablesBefore = await tables(pool)
  const first = await newAdmin(server.url, pool, 'first')
  for (const body of ['one', 'two']) await first.comment((await first.post(body)).id, 'Well said')
  const calls = Object.entries<Record<string, Operation>>((await first.get('/openapi.json')).paths).flatMap(
    ([path, methods]) =>
      // Its answer does not end.
      path === '/admin/pipeline/stream'
        ? []
        : Object.entries(methods).map(([method, operation]) => requestOf(method, path, operation)),
  )
  const found: Record<string, number> = {}
  /** With the last request that led to it. */
  const wrong = new Map<string, string>()

  let cameBack = 0
  const send = async (request: Request, client: TestClient, attempt = 1): Promise<string | undefined> => {
    const { name, method, url, body, operation } = request
    const answer = await http.request({
      method: method as Dispatcher.HttpMethod,
      path: url,
      headers: { authorization: `Bearer ${client.accessToken}`, 'content-type': 'application/json' },
      body,
    })
    const text = await answer.body.text()
    const status = String(answer.statusCode)
    found[status] = (found[status] ?? 0) + 1
    const code = text && /json/.test(String(answer.headers['content-type'])) ? JSON.parse(text).code : undefined
    if (status === '503' && name === 'GET /readyz') return
    if (COME_BACK.has(code) && attempt < MOST_ATTEMPTS) {
      cameBack += 1
      await delay(1000 * Number(answer.headers['retry-after'] ?? 1))
      return send(request, client, attempt + 1)
    }
    const example = () => `${url} ${body?.slice(0, 500)}`
    if (answer.statusCode >= 500) wrong.set(`${name} answers ${status} ${code}`, example())
    if (!(status in operation.responses) && code !== 'ROUTE_NOT_FOUND')
      wrong.set(`${name} answers ${status} ${code}, of which the document knows nothing`, example())
    return code
  }

  let n = 0
  const growth = watchGrowth(t, server, { warmUp: WARM_UP, every: MEASURE_EVERY })
  const fuzz = async (user: string) => {
    let client = await newAdmin(server.url, pool, user)
    const requests = fc.array(fc.oneof(...calls), { minLength: AT_ONCE, maxLength: AT_ONCE })
    const property = fc.asyncProperty(requests, async (together) => {
      n += together.length
      const sent = n
      const codes = await Promise.all(together.map((request) => send(request, client)))
      // They may have ended their own session, or deleted themselves.
      if (codes.includes('UNAUTHENTICATED')) client = await newAdmin(server.url, pool, `${user}_${sent}`)
      if (sent % MEASURE_EVERY === 0) await growth.measure(sent)
    })
    await fc.assert(property, { numRuns: Math.ceil(runs / USERS / AT_ONCE), endOnFailure: true })
  }
  await Promise.all(Array.from({ length: USERS }, (_, i) => fuzz(`user_${i}`)))

  t.comment(`${n} requests: ${JSON.stringify(found)}; ${cameBack} came back later`)
  t.same([...wrong], [])
  t.ok(Object.keys(found).length > Math.min(4, runs / 20), 'calls of many outcomes were made')
  t.same(await tables(pool), tablesBefore, 'and no text was taken for a statement')
  t.equal(server.child.exitCode, null, 'and the server goes on')
  growth.check()
  t.equal(await deadlocks(pool, server), 0, 'and nobody was asked to come back because two waited for each other')
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

async function newAdmin(url: string, pool: pg.Pool, name: string): Promise<TestClient> {
  const { username } = await signUp(url, name)
  await grantAdmin(pool, username)
  return signIn(url, username)
}

/** PostgreSQL has counted those of a connection when it ends. */
async function deadlocks(pool: pg.Pool, { child }: ServerProcess): Promise<number> {
  const gone = once(child, 'exit')
  child.kill()
  await gone
  const { rows } = await pool.query('select deadlocks::int from pg_stat_database where datname = current_database()')
  return rows[0].deadlocks
}

async function tables(pool: pg.Pool): Promise<unknown[]> {
  const { rows } = await pool.query(
    `select oid::regclass::text as name from pg_class where relnamespace in ('social'::regnamespace, 'ops'::regnamespace) order by 1`,
  )
  return rows
}
