import { spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Validator } from '@seriousme/openapi-schema-validator'
import { Ajv2020 } from 'ajv/dist/2020.js'
import t, { test } from 'tap'
import { call } from '../client.ts'
import { setup } from '../setup.ts'

const { url } = await setup(t, { env: { DEMO: 'true' } })

test('the document is valid OpenAPI 3.1', async (t) => {
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

test('the OpenAPI document has every call of the contract and marks the public ones', async (t) => {
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
      'GET /auth/password/reset',
      'GET /auth/verify-email',
      'GET /healthz',
      'GET /media/{id}/stream',
      'GET /metrics',
      'GET /push/vapid-public-key',
      'GET /readyz',
      'GET /unsubscribe/{token}',
      'POST /auth/password/forgot',
      'POST /auth/password/reset',
      'POST /auth/refresh',
      'POST /auth/signin',
      'POST /auth/signup',
      'POST /auth/verify-email',
      'POST /demo/devices',
      'POST /unsubscribe/{token}',
    ],
  )
  const found = new Set(calls.map(({ call }) => call))
  for (const expected of EXPECTED) t.ok(found.has(expected), expected)
})

test('calls that create something, and POST calls of admins, accept an Idempotency-Key unless their answer contains a secret', async (t) => {
  const { paths } = (await call(url, 'GET', '/openapi.json')).body
  const without: string[] = []
  const required: string[] = []
  for (const [path, { post }] of Object.entries<{ post?: Described }>(paths)) {
    if (!post) continue
    const key = post.parameters?.find((parameter) => parameter.in === 'header' && parameter.name === 'idempotency-key')
    if (!key) without.push(path)
    if (key?.required) required.push(path)
    const codes = ['409', '422'].flatMap((status) => Object.keys(problemOf(post, status)))
    if (key) for (const code of ['BUSY', 'REUSED']) t.ok(codes.includes(`IDEMPOTENCY_KEY_${code}`), `${path} ${code}`)
  }
  const secrets = [
    ...['/auth/signup', '/auth/signin', '/auth/refresh', '/demo/devices'],
    ...['/service-tokens', '/webhooks', '/webhooks/{id}/rotate-secret'],
  ]
  const mails = ['/auth/password/forgot', '/auth/verify-email/resend']
  const repeatable = [
    ...['/auth/signout', '/auth/password/reset', '/auth/verify-email', '/unsubscribe/{token}'],
    ...['/posts/{id}/like', '/users/{id}/follow', '/users/{id}/unfollow', '/webhooks/{id}/recover'],
    ...['{id}/read', 'read', 'archive', 'delete', 'seen', 'ack'].map((verb) => `/notifications/${verb}`),
    '/notifications/preferences/what-if',
  ]
  t.same(without.sort(), [...secrets, ...mails, ...repeatable].sort())
  t.same(required, ['/notifications/send', '/notifications/send/batch'])
})

test('a body is required unless {} is valid, because an absent body counts as {}', async (t) => {
  const { paths, components } = (await call(url, 'GET', '/openapi.json')).body
  const ajv = new Ajv2020({ strict: false, validateFormats: false })
  for (const [path, methods] of Object.entries<Record<string, Described>>(paths))
    for (const [method, { requestBody }] of Object.entries(methods)) {
      const schema = requestBody?.content['application/json']?.schema
      if (schema) t.equal(requestBody.required, !ajv.validate({ ...schema, components }, {}), `${method} ${path}`)
    }
  t.equal(paths['/auth/refresh'].post.requestBody.required, false, 'the token may be in the cookie')
})

const problemOf = ({ responses }: Described, status: string) =>
  responses[status]?.content?.['application/problem+json']?.examples ?? {}

test('the OpenAPI linter finds no errors', async (t) => {
  const file = join(t.testdir(), 'openapi.json')
  const lint = () =>
    spawnSync('redocly', ['lint', file, '--format', 'json', '--extends', 'recommended'], {
      encoding: 'utf8',
      env: { ...process.env, NODE_OPTIONS: '', REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true' },
    })
  const document = (await call(url, 'GET', '/openapi.json')).body
  await writeFile(file, JSON.stringify(document))
  const { status, stdout, stderr } = lint()
  t.equal(status, 0, stderr)
  t.match(JSON.parse(stdout).totals, { errors: 0 }, stdout)
  document.paths['/auth/me'].get.operationId = document.paths['/posts'].get.operationId
  await writeFile(file, JSON.stringify(document))
  t.equal(lint().status, 1, 'it finds a name that is there twice')
})

test('each call has a name, summary, description, group and error examples, and each answer a description and an example', async (t) => {
  const { paths, tags, components } = (await call(url, 'GET', '/openapi.json')).body
  const groups: string[] = tags.map(({ name }: { name: string }) => name)
  for (const [path, methods] of Object.entries<Record<string, Described>>(paths))
    for (const [method, { summary, description, tags: [tag = ''] = [], responses, operationId }] of Object.entries(
      methods,
    )) {
      const name = `${method.toUpperCase()} ${path}`
      t.type(summary, 'string', `${name} has a summary in its schema`)
      t.ok(groups.includes(tag), `${name} names a group of src/api/describe.ts in its tags`)
      t.match(operationId, /^[a-z]+([A-Z]\w*)+$/)
      t.type(description, 'string', `${name} has a description in its schema`)
      for (const [status, { description = '', content = {} }] of Object.entries(responses)) {
        t.match(description, /^(?!Default Response).+/, `${name} describes its ${status} in \`answers\` of its schema`)
        for (const [type, { example, examples }] of Object.entries(content)) {
          if (type === 'application/json') t.not(example, undefined, `${name} ${status} has an example`)
          for (const code of Object.keys(examples ?? {}))
            t.equal(String(components.examples[code].value.status), status)
        }
      }
    }
})

type Described = {
  summary: string
  description?: string
  operationId: string
  tags?: string[]
  parameters?: { name: string; in: string; required?: boolean }[]
  requestBody?: { required?: boolean; content: Record<string, { schema?: object }> }
  responses: Record<
    string,
    { description?: string; content?: Record<string, { example?: unknown; examples?: object }> }
  >
}

test('the documentation page is public', async (t) => {
  const { status, headers, body: html } = await call(url, 'GET', '/docs/')
  t.equal(status, 200)
  t.match(html, '<title>Ravenpost API</title>')
  const { description } = (await call(url, 'GET', '/openapi.json')).body.info
  const links = [...description.matchAll(/\]\((\/[^)]+)\)/g)].map(([, link]) => link)
  t.ok(links.length > 10)
  for (const link of links) {
    const guide = await call(url, 'GET', link)
    t.equal(guide.status, 200, link)
    t.match(guide.headers.get('content-type'), /^(text\/plain|application\/json)/, `browsers show ${link}`)
  }
  t.equal((await call(url, 'GET', '/docs/guides/faults.md')).status, 404, 'only the guides')
  t.match(headers.get('content-type'), /^text\/html/)
  t.equal((await call(url, 'GET', '/docs/static/swagger-ui-bundle.js')).status, 200)
  const { body } = await call(url, 'GET', '/docs/static/swagger-initializer.js')
  t.match(body, 'SwaggerUIBundle')
  t.notMatch(body, /"persistAuthorization":\s*true/, 'no token is kept in the storage of the origin')
})

const EXPECTED = `
  POST /auth/signup, POST /auth/signin, POST /auth/refresh, POST /auth/signout, PUT /auth/password, POST /auth/password/forgot, POST /auth/password/reset,
  GET /auth/me, PATCH /auth/me, POST /auth/verify-email, POST /auth/verify-email/resend, GET /auth/sessions, DELETE /auth/sessions/{id},
  GET /users/{id}, PATCH /users/{id}, DELETE /users/{id}, GET /users/{id}/friends, GET /users/{id}/followers, GET /users/{id}/following,
  POST /users/{id}/follow, POST /users/{id}/unfollow,
  POST /posts, GET /posts, GET /posts/{id}, PATCH /posts/{id}, DELETE /posts/{id}, POST /posts/{id}/like, DELETE /posts/{id}/like,
  POST /posts/{id}/comment, GET /posts/{id}/comments, PATCH /comments/{id}, DELETE /comments/{id},
  GET /notifications, GET /notifications/unread-count, GET /notifications/changes, GET /notifications/pending, GET /notifications/history,
  GET /notifications/{id}, GET /notifications/stats, POST /notifications/ack, PATCH /notifications/{id}/read, POST /notifications/{id}/read,
  PATCH /notifications/{id}/unread, PATCH /notifications/{id}/archive, PATCH /notifications/{id}/unarchive, DELETE /notifications/{id},
  POST /notifications/read, POST /notifications/archive, POST /notifications/delete, PATCH /notifications/mark-all-read, POST /notifications/seen,
  GET /admin/segments, POST /admin/segments, POST /admin/segments/estimate, GET /admin/segments/{id}, PATCH /admin/segments/{id},
  DELETE /admin/segments/{id}, GET /admin/templates, POST /admin/templates, GET /admin/templates/{id}, PATCH /admin/templates/{id},
  DELETE /admin/templates/{id}, POST /admin/templates/{id}/preview, POST /admin/templates/preview,
  GET /admin/broadcasts, POST /admin/broadcasts, GET /admin/broadcasts/{id}, PUT /admin/broadcasts/{id},
  DELETE /admin/broadcasts/{id}, GET /admin/broadcasts/{id}/recipients,
  POST /admin/broadcasts/{id}/dry-run, POST /admin/broadcasts/{id}/test, POST /admin/broadcasts/{id}/send, POST /admin/broadcasts/{id}/pause,
  POST /admin/broadcasts/{id}/resume, POST /admin/broadcasts/{id}/cancel, POST /admin/broadcasts/{id}/recall,
  GET /admin/dead-letters, GET /admin/dead-letters/{id}, POST /admin/dead-letters/{id}/replay,
  GET /admin/dead-letters/causes, POST /admin/dead-letters/replay, POST /admin/dead-letters/{id}/dry-run,
  GET /admin/trace, GET /admin/trace/{userId}/{notificationId},
  GET /admin/audit, GET /admin/audit/export, GET /admin/roles, PUT /admin/users/{id}/role,
  GET /admin/system, GET /admin/pipeline/stream, GET /admin/tables, GET /admin/tables/{name}, GET /admin/jobs, GET /admin/workers, GET /admin/lanes,
  GET /admin/pending, GET /admin/locks, GET /admin/invariants, GET /admin/deliveries, GET /admin/breakers, GET /admin/advice, GET /admin/users, GET /admin/users/{id}/timeline,
  GET /admin/users/{id}/explain, POST /admin/users/{id}/what-if, GET /admin/sql/{name},
  GET /admin/notification-types, PATCH /admin/notification-types/{type},
  POST /demo/posts/{id}/simulate, DELETE /demo/simulated-users, POST /demo/notify, POST /demo/devices, DELETE /demo/data
`
  .split(',')
  .map((call) => call.trim())
