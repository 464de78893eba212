import { Validator } from '@seriousme/openapi-schema-validator'
import { test } from 'tap'
import { call } from '../client.ts'
import { setup } from '../setup.ts'

test('the document is valid OpenAPI 3.1', async (t) => {
  const { url } = await setup(t)
  const { status, body } = await call(url, 'GET', '/openapi.json')
  t.equal(status, 200)
  t.match(body, {
    openapi: /^3\.1\./,
    info: { title: 'Ravenpost' },
    components: { securitySchemes: { accessToken: Object } },
  })
  const { valid, errors } = await new Validator().validate(body)
  t.ok(valid, JSON.stringify(errors, null, 2))
})

test('the document has every call of this scope, and says which are public', async (t) => {
  const { url } = await setup(t)
  const { paths } = (await call(url, 'GET', '/openapi.json')).body
  const calls = Object.entries<Record<string, { security?: unknown[] }>>(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, { security }]) => ({
      call: `${method.toUpperCase()} ${path}`,
      open: security?.length === 0,
    })),
  )
  t.same(
    calls
      .filter(({ open }) => open)
      .map(({ call }) => call)
      .sort(),
    [
      'GET /healthz',
      'GET /media/{id}/stream',
      'GET /metrics',
      'GET /push/vapid-public-key',
      'GET /readyz',
      'POST /auth/refresh',
      'POST /auth/signin',
      'POST /auth/signup',
    ],
  )
  const found = new Set(calls.map(({ call }) => call))
  for (const expected of EXPECTED) t.ok(found.has(expected), expected)
})

test('the readable page is public', async (t) => {
  const { url } = await setup(t)
  const { status, headers } = await call(url, 'GET', '/docs/')
  t.equal(status, 200)
  t.match(headers.get('content-type'), /^text\/html/)
  t.equal((await call(url, 'GET', '/docs/static/swagger-ui-bundle.js')).status, 200)
})

const EXPECTED = `
  POST /auth/signup, POST /auth/signin, POST /auth/refresh, POST /auth/signout, GET /auth/me, GET /auth/sessions, DELETE /auth/sessions/{id},
  GET /users/{id}, PATCH /users/{id}, DELETE /users/{id}, GET /users/{id}/friends, GET /users/{id}/followers, GET /users/{id}/following,
  POST /users/{id}/follow, POST /users/{id}/unfollow,
  POST /posts, GET /posts, GET /posts/{id}, PATCH /posts/{id}, DELETE /posts/{id}, POST /posts/{id}/like, DELETE /posts/{id}/like,
  POST /posts/{id}/comment, GET /posts/{id}/comments, PATCH /comments/{id}, DELETE /comments/{id},
  GET /notifications, GET /notifications/unread-count, GET /notifications/changes, GET /notifications/pending, GET /notifications/history,
  GET /notifications/{id}, GET /notifications/stats, POST /notifications/ack, PATCH /notifications/{id}/read, POST /notifications/{id}/read,
  PATCH /notifications/{id}/unread, PATCH /notifications/{id}/archive, PATCH /notifications/{id}/unarchive, DELETE /notifications/{id},
  POST /notifications/read, POST /notifications/archive, POST /notifications/delete, PATCH /notifications/mark-all-read, POST /notifications/seen,
  GET /admin/dead-letters, GET /admin/dead-letters/{id}, POST /admin/dead-letters/{id}/replay
`
  .split(',')
  .map((call) => call.trim())
