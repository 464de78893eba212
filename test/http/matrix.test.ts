import { Ajv2020 } from 'ajv/dist/2020.js'
import { default as addFormats } from 'ajv-formats'
import { type Test, test } from 'tap'
import { grantAdmin } from '../../src/accounts/admin.ts'
import { unsubscribeToken } from '../../src/channels/unsubscribe.ts'
import { emailToken } from '../../src/channels/verify-email.ts'
import { vapid } from '../channels/push-service.ts'
import { type Answer, call, PASSWORD, signIn, type TestClient } from '../client.ts'
import { uploaded } from '../media/files.ts'
import { fillInbox } from '../notifications/events.ts'
import { setup, type TestSystem } from '../setup.ts'

type Row = [call: string, statuses: number[], body?: (world: World) => unknown]
type World = { id: string; owner: TestClient; epoch: string; number: number }

/** What each call answers to: nobody, the owner of what it names, another user, an admin. A call that is missing here fails. */
const rows: Row[] = [
  ['POST /auth/signup', [201, 201, 201, 201], ({ number }) => account(`new_${number}`)],
  ['POST /auth/signin', [200, 200, 200, 200], ({ owner }) => ({ login: owner.username, password: PASSWORD })],
  ['POST /auth/refresh', [200, 200, 200, 200], ({ owner }) => ({ refreshToken: owner.refreshToken })],
  ['POST /auth/signout', [401, 204, 401, 401], ({ owner }) => ({ refreshToken: owner.refreshToken })],
  ['PUT /auth/password', [401, 204, 204, 204], () => ({ currentPassword: PASSWORD, password: `${PASSWORD} staple` })],
  ['GET /auth/me', [401, 200, 200, 200]],
  ['GET /auth/sessions', [401, 200, 200, 200]],
  ['DELETE /auth/sessions/{id}', [401, 204, 404, 404]],
  ['GET /users/search', [401, 200, 200, 200]],
  ['GET /users/{id}', [401, 200, 200, 200]],
  ['PATCH /users/{id}', [401, 200, 403, 403], () => ({ bio: 'Hello' })],
  ['DELETE /users/{id}', [401, 204, 403, 403]],
  ['GET /users/{id}/followers', [401, 200, 200, 200]],
  ['GET /users/{id}/following', [401, 200, 200, 200]],
  ['GET /users/{id}/friends', [401, 200, 200, 200]],
  ['POST /users/{id}/follow', [401, 422, 200, 200]],
  ['POST /users/{id}/unfollow', [401, 422, 200, 200]],
  ['PUT /users/{id}/bell', [401, 422, 200, 200], () => ({ enabled: true })],
  ['PUT /users/{id}/block', [401, 422, 204, 204]],
  ['DELETE /users/{id}/block', [401, 422, 204, 204]],
  ['PUT /users/{id}/mute', [401, 422, 204, 204]],
  ['DELETE /users/{id}/mute', [401, 422, 204, 204]],
  ['POST /posts', [401, 201, 201, 201], () => ({ body: 'Hello' })],
  ['GET /posts', [401, 200, 200, 200]],
  ['GET /posts/{id}', [401, 200, 200, 200]],
  ['PATCH /posts/{id}', [401, 200, 403, 403], () => ({ body: 'Hello' })],
  ['DELETE /posts/{id}', [401, 204, 403, 403]],
  ['POST /posts/{id}/like', [401, 200, 200, 200]],
  ['DELETE /posts/{id}/like', [401, 200, 200, 200]],
  ['POST /posts/{id}/comment', [401, 201, 201, 201], () => ({ body: 'Hello' })],
  ['GET /posts/{id}/comments', [401, 200, 200, 200]],
  ['PATCH /comments/{id}', [401, 200, 403, 403], () => ({ body: 'Hello' })],
  ['DELETE /comments/{id}', [401, 204, 403, 403]],
  ['PUT /posts/{id}/bookmark', [401, 204, 204, 204]],
  ['DELETE /posts/{id}/bookmark', [401, 204, 204, 204]],
  ['PUT /posts/{id}/mute', [401, 204, 204, 204]],
  ['DELETE /posts/{id}/mute', [401, 204, 204, 204]],
  ['GET /bookmarks', [401, 200, 200, 200]],
  ['POST /media/upload', [401, 415, 415, 415]],
  ['GET /media/{id}/stream', [200, 200, 200, 200]],
  ['GET /notifications', [401, 200, 200, 200]],
  ['GET /notifications/pending', [401, 200, 200, 200]],
  ['GET /notifications/history', [401, 200, 200, 200]],
  ['GET /notifications/unread-count', [401, 200, 200, 200]],
  ['GET /notifications/stats', [401, 200, 200, 200]],
  ['GET /notifications/changes', [401, 200, 200, 200]],
  ['GET /notifications/preferences', [401, 200, 200, 200]],
  ['PUT /notifications/preferences', [401, 200, 200, 200], () => ({})],
  ['GET /notifications/{id}', [401, 200, 404, 404]],
  ['DELETE /notifications/{id}', [401, 200, 404, 404]],
  ['PATCH /notifications/{id}/read', [401, 200, 404, 404]],
  ['POST /notifications/{id}/read', [401, 200, 404, 404]],
  ['PATCH /notifications/{id}/unread', [401, 200, 404, 404]],
  ['PATCH /notifications/{id}/archive', [401, 200, 404, 404]],
  ['PATCH /notifications/{id}/unarchive', [401, 200, 404, 404]],
  ['POST /notifications/read', [401, 200, 200, 200], ({ id }) => ({ ids: [id] })],
  ['POST /notifications/archive', [401, 200, 200, 200], ({ id }) => ({ ids: [id] })],
  ['POST /notifications/delete', [401, 200, 200, 200], ({ id }) => ({ ids: [id] })],
  ['PATCH /notifications/mark-all-read', [401, 200, 200, 200], () => ({})],
  ['POST /notifications/seen', [401, 200, 200, 200], ({ epoch }) => ({ upTo: `${epoch}.0` })],
  ['POST /notifications/ack', [401, 204, 204, 204], ({ epoch }) => ({ state: `${epoch}.0` })],
  ['POST /auth/verify-email', [204, 204, 204, 204], ({ id }) => ({ token: id })],
  ['GET /auth/verify-email', [200, 200, 200, 200]],
  ['GET /unsubscribe/{token}', [200, 200, 200, 200]],
  ['POST /unsubscribe/{token}', [200, 200, 200, 200]],
  ['GET /push/vapid-public-key', [200, 200, 200, 200]],
  ['GET /push/subscriptions', [401, 200, 200, 200]],
  ['POST /push/subscriptions', [401, 201, 201, 201], ({ number }) => subscription(number)],
  ['DELETE /push/subscriptions/{id}', [401, 204, 404, 404]],
  ['GET /notifications/{id}/why', [401, 200, 404, 404]],
  ['POST /notifications/send', [401, 403, 403, 202], ({ owner }) => ({ recipientId: owner.id, ...words })],
  ['POST /notifications/send/batch', [401, 403, 403, 202], ({ owner }) => ({ recipientIds: [owner.id], ...words })],
  ['GET /notifications/sends/{sendId}', [401, 403, 403, 200]],
  ['GET /service-tokens', [401, 403, 403, 200]],
  ['POST /service-tokens', [401, 403, 403, 201], () => ({ name: 'shop', scopes: ['notifications:send'] })],
  ['DELETE /service-tokens/{id}', [401, 403, 403, 204]],
  ['GET /admin/dead-letters', [401, 403, 403, 200]],
  ['GET /admin/dead-letters/{id}', [401, 403, 403, 200]],
  ['POST /admin/dead-letters/{id}/replay', [401, 403, 403, 202]],
  ['GET /admin/notification-types', [401, 403, 403, 200]],
  ['PATCH /admin/notification-types/{type}', [401, 403, 403, 200], () => ({ jitter: 0.5 })],
  ['GET /healthz', [200, 200, 200, 200]],
  ['GET /readyz', [200, 200, 200, 200]],
  ['GET /metrics', [200, 200, 200, 200]],
]

const words = { title: 'Hello', message: 'It is you' }

const QUERIES: Record<string, (world: World) => string> = {
  'GET /users/search': () => '?q=ben',
  'GET /auth/verify-email': ({ id }) => `?token=${id}`,
  'GET /notifications/changes': ({ epoch }) => `?since=${epoch}.0`,
}

test('each call answers nobody, the owner, others and admins as it should, in the form of the document', async (t) => {
  const system = await setup(t, { env: vapid })
  const { url, as, pool } = system
  const document = (await call(url, 'GET', '/openapi.json')).body
  const calls = Object.entries<object>(document.paths).flatMap(([path, operations]) =>
    Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
  )
  t.same(calls.sort(), rows.map(([name]) => name).sort(), 'each call has its row')

  const fits = answersOf(document)
  await as('rita')
  await grantAdmin(pool, 'rita')
  const [other, admin] = [await as('ben'), await signIn(url, 'rita')]
  const state: string = (await other.get('/notifications/unread-count')).state
  let number = 0
  for (const [name, statuses, bodyOf] of rows) {
    for (const [place, who] of ['nobody', 'owner', 'other', 'admin'].entries()) {
      number += 1
      const owner = await as(`owner_${number}`)
      const world = { owner, epoch: state.split('.')[0] ?? '', number, id: await thingOf(name, owner, system) }
      const [method = '', path = ''] = name.split(' ')
      const target = path.replace(/\{\w+\}/, world.id) + (QUERIES[name]?.(world) ?? '')
      const client = { owner, other, admin }[who]
      const body = bodyOf?.(world)
      const headers = { 'idempotency-key': `key-${number}` }
      const answer = client
        ? await client.request(method, target, body, headers)
        : await call(url, method, target, body, headers)
      t.equal(answer.status, statuses[place], `${name} by ${who}`)
      fits(t, name, answer)
      if (name.startsWith('POST /notifications/') && 'updated' in Object(answer.body) && bodyOf?.(world) !== undefined)
        if (who !== 'owner') t.equal(answer.body.updated, 0, `${name} by ${who} changes nothing of the owner`)
    }
  }
})

/** Id of a new thing of the owner that the call is about. */
async function thingOf(name: string, owner: TestClient, { app, config, pool, url }: TestSystem): Promise<string> {
  if (name.includes('/verify-email')) return emailToken(config, owner.id, `${owner.username}@example.org`)
  if (name.includes('/unsubscribe/')) return unsubscribeToken(config, owner.id)
  if (/ \/auth\/sessions\/\{id\}/.test(name)) return owner.sessionId
  if (/ \/users\/\{id\}/.test(name)) return owner.id
  if (/ \/posts\/\{id\}/.test(name)) return (await owner.post('Hello')).id
  if (/ \/comments\/\{id\}/.test(name)) return (await owner.comment((await owner.post('Hello')).id, 'Well said')).id
  if (/\/subscriptions\/\{id\}/.test(name))
    return (await owner.request('POST', '/push/subscriptions', subscription(Number(owner.id)))).body.id
  if (/ \/media\/\{id\}/.test(name)) return uploaded(url, owner)
  if (name.includes('/notification-types/')) return 'post.liked'
  if (name.includes('/sends/')) return numberOf(pool, newSend)
  if (name.includes('/service-tokens/')) return numberOf(pool, newToken)
  if (name.includes('/notifications')) await fillInbox(app, owner.id, 1)
  if (!name.includes('/dead-letters')) return '1'
  const { rows } = await pool.query<{ id: string }>(
    `insert into notify.pending (consumer, event_id, recipient_id, event, attempts, last_error, dead_at)
     select 'notifications', coalesce(max(event_id), 0) + 1, 1, '{"sourceId": "like:1:1"}', 9, 'why', now() from notify.pending returning id`,
  )
  return rows[0]?.id ?? ''
}

const newSend = `insert into notify.sends (sender, source_id, recipient_ids, accepted, duplicates)
  values ('user:1', 'send:new:0', '{1}', 1, 0) returning id`
const newToken = `insert into social.service_tokens (name, scopes, token_hash)
  values ('shop', '{notifications:send}', gen_random_uuid()::text::bytea) returning id`

async function numberOf(pool: TestSystem['pool'], insert: string): Promise<string> {
  return (await pool.query<{ id: string }>(insert)).rows[0]?.id ?? ''
}

/** Compares an answer with what the document says of its call and status: a problem where it names none. */
function answersOf(document: { paths: Record<string, Record<string, Operation>> }) {
  const ajv = new Ajv2020({ strict: false, allErrors: true })
  addFormats.default(ajv)
  ajv.addSchema(document, 'document')
  return (t: Test, name: string, { status, headers, body }: Answer) => {
    const [method = '', path = ''] = name.split(' ')
    const verb = method.toLowerCase()
    const responses = document.paths[path]?.[verb]?.responses ?? {}
    const key = status in responses ? String(status) : 'default'
    const sent = headers.get('content-type')?.split(';')[0] ?? ''
    const described = responses[key]?.content
    const type = described && '*/*' in described ? '*/*' : sent
    if (!described) return void t.notOk(body, `${name} ${status} has no body`)
    if (!(type in described))
      return void t.equal(type, Object.keys(described)[0], `${name} ${status} is of a described type`)
    const pointer = ['paths', path, verb, 'responses', key, 'content', type, 'schema'].map(escapeStep).join('/')
    const fits = ajv.getSchema(`document#/${pointer}`)
    t.ok(fits?.(body), `${name} ${status}: ${ajv.errorsText(fits?.errors)}`)
  }
}

type Operation = { responses: Record<string, { content?: Record<string, unknown> }> }

function escapeStep(step: string): string {
  return encodeURIComponent(step.replaceAll('~', '~0').replaceAll('/', '~1'))
}

const POINT = 'BGsX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKWT-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU'

function subscription(number: number) {
  return { endpoint: `https://push.example.org/${number}`, keys: { p256dh: POINT, auth: 'a'.repeat(22) } }
}

function account(username: string) {
  return { username, email: `${username}@example.org`, password: PASSWORD }
}
