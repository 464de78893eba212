import { test } from 'tap'
import { call } from '../client.ts'
import { setup } from '../setup.ts'
import { uploaded } from '../social/media/files.ts'

test('answers, including errors, are not cacheable, except media and documentation pages', async (t) => {
  const { url, server, as, pool } = await setup(t)
  const ana = await as('ana')
  const media = await uploaded(url, ana)
  const post = (await ana.post('hello')).id
  await pool.query(`update social.users set role = 'admin'`)
  const statuses: number[] = []
  const calls = Object.entries(server.swagger().paths ?? {}).flatMap(([path, operations]) =>
    Object.keys(operations ?? {}).map((method) => ({ method: method.toUpperCase(), path })),
  )
  // Calls as an admin and without a token. Reads come first, because some other calls end the session.
  const reads = calls.filter(({ method }) => method === 'GET')
  for (const { method, path } of [...reads, ...calls.filter((other) => !reads.includes(other))]) {
    const at = path
      .replace('/posts/{id}', `/posts/${post}`)
      .replace('/media/{id}', '/media/none')
      .replace(/\{\w+\}/g, '1')
    for (const answer of [await ana.request(method, at), await call(url, method, at)]) {
      statuses.push(answer.status)
      t.equal(answer.headers.get('cache-control'), 'no-store', `${method} ${path} ${answer.status}`)
    }
  }
  t.ok(statuses.filter((status) => status === 200).length > 20, 'many were answered')

  const stream = `/media/${media}/stream`
  t.match((await call(url, 'GET', stream)).headers.get('cache-control'), /^public/)
  const beyond = await call(url, 'GET', stream, undefined, { range: 'bytes=99999999-' })
  t.match([beyond.status, beyond.headers.get('cache-control')], [416, 'no-store'], 'a refusal is no file')
  for (const path of ['/nowhere', '/healthz', '/readyz', '/openapi.json'])
    t.equal((await call(url, 'GET', path)).headers.get('cache-control'), 'no-store', path)
  t.match((await call(url, 'GET', '/docs/static/swagger-ui.css')).headers.get('cache-control'), /^public/)
})

test('with DOCS=off the API works, and its documents are not available', async (t) => {
  const { url, as } = await setup(t, { env: { DOCS: 'off' } })
  for (const path of [
    '/docs',
    '/docs/',
    '/docs/static/index.html',
    '/docs/json',
    '/docs/guides/sql.md',
    '/openapi.json',
    '/asyncapi.json',
  ])
    t.match(await call(url, 'GET', path), { status: 404, body: { code: 'ROUTE_NOT_FOUND' } }, path)
  t.equal((await (await as('ana')).request('GET', '/auth/me')).status, 200)
})
