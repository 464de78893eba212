import { type Test, test } from 'tap'
import { Scope } from '../../src/http/identity.ts'
import { resetToken } from '../../src/notify/channels/email/reset-token.ts'
import { unsubscribeToken } from '../../src/notify/channels/email/unsubscribe.ts'
import { emailToken } from '../../src/notify/channels/email/verify.ts'
import { clientFrames, serverFrames } from '../../src/protocol/frames.ts'
import { newServiceToken } from '../../src/social/service-tokens/tokens.ts'
import { type Answer, call, PASSWORD, signIn, signUp, type TestClient } from '../client.ts'
import { answersOf } from '../http/described.ts'
import { vapid } from '../notify/channels/push-service.ts'
import { TestSocket } from '../push/socket.ts'
import { eventually, setup, type TestSystem } from '../setup.ts'
import { PIXEL, upload, uploaded } from '../social/media/files.ts'

/**
 * What each call answers to each caller, about things of `owner`. A call of the server without a line here fails. Whatever the
 * answer is, what `owner` owns stays as it was, and no other caller is sent anything private of it.
 *
 * - nobody: no token, in `hello` a forged one · other: another user · blocked: a user whom the owner blocks
 * - send, critical, users, webhooks: service tokens, one of each scope; where `users` or `webhooks` has no column, it is answered as `critical` · revoked: a service token that was revoked · gone: a user after sign-out
 * - fresh: an admin who has to change the first password · reader, operator: where they have no column, they are answered as `other` · admin · owner
 */
const CALLS = `
                                         nobody other blocked send critical revoked gone fresh admin owner

# Public, with a secret of the caller's own in the body or the link; nobody and services have a forged one.
POST /auth/signup                        201    201   201     201  201      201     201  201   201   201
POST /auth/signin                        401    401   401     401  401      401     401  401   401   200
POST /auth/refresh                       401    200   200     401  401      401     401  200   200   200
GET /auth/verify-email                   400    200   200     400  400      400     200  200   200   200
POST /auth/verify-email                  400    204   204     400  400      400     204  204   204   204
POST /auth/password/forgot               202    202   202     202  202      202     202  202   202   202
GET /auth/password/reset                 200    200   200     200  200      200     200  200   200   200
GET /unsubscribe/{token}                 400    200   200     400  400      400     200  200   200   200
POST /unsubscribe/{token}                400    200   200     400  400      400     200  200   200   200

# Public. A medium is shown to anyone who has its id, which is 128 random bits: an <img> sends no token.
GET /media/{id}/stream                   200    200   200     200  200      200     200  200   200   200
GET /push/vapid-public-key               200    200   200     200  200      200     200  200   200   200
GET /openapi.json                        200    200   200     200  200      200     200  200   200   200
GET /asyncapi.json                       200    200   200     200  200      200     200  200   200   200
GET /docs                                200    200   200     200  200      200     200  200   200   200
GET /docs/                               200    200   200     200  200      200     200  200   200   200
GET /docs/json                           200    200   200     200  200      200     200  200   200   200
GET /docs/yaml                           200    200   200     200  200      200     200  200   200   200
GET /docs/static/index.html              200    200   200     200  200      200     200  200   200   200
GET /docs/static/swagger-initializer.js  200    200   200     200  200      200     200  200   200   200
GET /docs/static/theme/icon.svg          200    200   200     200  200      200     200  200   200   200
GET /docs/static/theme/ravenpost.css     200    200   200     200  200      200     200  200   200   200
GET /docs/guides/{name}                  200    200   200     200  200      200     200  200   200   200
GET /docs/*                              200    200   200     200  200      200     200  200   200   200
GET /healthz                             200    200   200     200  200      200     200  200   200   200
GET /readyz                              200    200   200     200  200      200     200  200   200   200
GET /ws                                  426    426   426     426  426      426     426  426   426   426
OPTIONS *                                204    204   204     204  204      204     204  204   204   204

# METRICS_TOKEN is set here; no token of a user or a service is it.
GET /metrics                             401    401   401     401  401      401     401  401   401   401

# Own things: the call names nobody, and each caller finds their own.
GET /auth/me                             401    200   200     401  401      401     401  200   200   200
GET /auth/me/export                      401    200   200     401  401      401     401  200   200   200
PATCH /auth/me                           401    200   200     401  401      401     401  200   200   200
POST /auth/verify-email/resend           401    202   202     401  401      401     401  202   202   202
GET /auth/sessions                       401    200   200     401  401      401     401  200   200   200
GET /bookmarks                           401    200   200     401  401      401     401  200   200   200
GET /users/blocked                       401    200   200     401  401      401     401  200   200   200
GET /users/muted                         401    200   200     401  401      401     401  200   200   200
GET /notifications                       401    200   200     401  401      401     401  200   200   200
GET /notifications/pending               401    200   200     401  401      401     401  200   200   200
GET /notifications/history               401    200   200     401  401      401     401  200   200   200
GET /notifications/unread-count          401    200   200     401  401      401     401  200   200   200
GET /notifications/stats                 401    200   200     401  401      401     401  200   200   200
GET /notifications/changes               401    200   200     401  401      401     401  200   200   200
GET /notifications/preferences           401    200   200     401  401      401     401  200   200   200
PUT /notifications/preferences           401    200   200     401  401      401     401  200   200   200
POST /notifications/preferences/what-if  401    200   200     401  401      401     401  200   200   200
GET /push/subscriptions                  401    200   200     401  401      401     401  200   200   200
POST /push/subscriptions                 401    201   201     401  401      401     401  201   201   201
POST /media/upload                       401    201   201     401  401      401     401  201   201   201
POST /posts                              401    201   201     401  401      401     401  201   201   201

# The body names notifications of the owner, or a state of the owner's; a caller has none of those ids.
POST /notifications/read                 401    200   200     401  401      401     401  200   200   200
POST /notifications/archive              401    200   200     401  401      401     401  200   200   200
POST /notifications/delete               401    200   200     401  401      401     401  200   200   200
PATCH /notifications/mark-all-read       401    200   200     401  401      401     401  200   200   200
POST /notifications/seen                 401    200   200     401  401      401     401  200   200   200
POST /notifications/ack                  401    204   204     401  401      401     401  204   204   204

# Private things of the owner.
GET /notifications/{id}                  401    404   404     401  401      401     401  404   404   200
GET /notifications/{id}/actors           401    404   404     401  401      401     401  404   404   200
GET /notifications/{id}/why              401    404   404     401  401      401     401  404   404   200
PATCH /notifications/{id}/read           401    404   404     401  401      401     401  404   404   200
POST /notifications/{id}/read            401    404   404     401  401      401     401  404   404   200
PATCH /notifications/{id}/unread         401    404   404     401  401      401     401  404   404   200
PATCH /notifications/{id}/archive        401    404   404     401  401      401     401  404   404   200
PATCH /notifications/{id}/unarchive      401    404   404     401  401      401     401  404   404   200
DELETE /notifications/{id}               401    404   404     401  401      401     401  404   404   200
DELETE /push/subscriptions/{id}          401    404   404     401  401      401     401  404   404   204
DELETE /auth/sessions/{id}               401    404   404     401  401      401     401  404   404   204

# Public things of the owner, hidden from those whom the owner blocks. They find nothing, but may take back what they did before,
# and silence the owner in turn.
GET /users/search                        401    200   200     401  401      401     401  200   200   200
GET /users/{id}                          401    200   404     401  401      401     401  200   200   200
GET /users/by-name/{username}            401    200   404     401  401      401     401  200   200   200
GET /users/{id}/followers                401    200   404     401  401      401     401  200   200   200
GET /users/{id}/following                401    200   404     401  401      401     401  200   200   200
GET /users/{id}/friends                  401    200   404     401  401      401     401  200   200   200
GET /posts/{id}                          401    200   404     401  401      401     401  200   200   200
GET /posts/{id}/likes                    401    200   404     401  401      401     401  200   200   200
GET /posts/{id}/comments                 401    200   404     401  401      401     401  200   200   200
GET /posts/search                        401    200   200     401  401      401     401  200   200   200
GET /posts                               401    200   200     401  401      401     401  200   200   200
POST /users/{id}/follow                  401    200   404     401  401      401     401  200   200   422
PUT /users/{id}/bell                     401    200   404     401  401      401     401  200   200   422
POST /users/{id}/unfollow                401    200   200     401  401      401     401  200   200   422
PUT /users/{id}/block                    401    204   204     401  401      401     401  204   204   422
DELETE /users/{id}/block                 401    204   204     401  401      401     401  204   204   422
PUT /users/{id}/mute                     401    204   204     401  401      401     401  204   204   422
DELETE /users/{id}/mute                  401    204   204     401  401      401     401  204   204   422
POST /posts/{id}/like                    401    200   404     401  401      401     401  200   200   200
DELETE /posts/{id}/like                  401    200   404     401  401      401     401  200   200   200
POST /posts/{id}/comment                 401    201   404     401  401      401     401  201   201   201
PUT /posts/{id}/bookmark                 401    204   404     401  401      401     401  204   204   204
DELETE /posts/{id}/bookmark              401    204   204     401  401      401     401  204   204   204
PUT /posts/{id}/mute                     401    204   404     401  401      401     401  204   204   204
DELETE /posts/{id}/mute                  401    204   204     401  401      401     401  204   204   204

# Only the owner changes them, admins neither.
PATCH /posts/{id}                        401    403   404     401  401      401     401  403   403   200
DELETE /posts/{id}                       401    403   404     401  401      401     401  403   403   204
PATCH /comments/{id}                     401    403   404     401  401      401     401  403   403   200
DELETE /comments/{id}                    401    403   404     401  401      401     401  403   403   204
PATCH /users/{id}                        401    403   404     401  401      401     401  403   403   200

# These end sessions and the account, so they come last. PUT /auth/password is about the caller's own.
POST /auth/signout                       401    401   401     401  401      401     401  401   401   204
PUT /auth/password                       401    204   204     401  401      401     401  204   204   204
DELETE /users/{id}                       401    403   404     401  401      401     401  403   403   204

# By the token of a mail to the caller; all sessions of the caller end.
POST /auth/password/reset                400    204   204     400  400      400     204  204   204   400
`

/** For readers, operators and admins. A service token is nobody's sign-in there, but for sends, which belong to their sender. */
const ADMIN_CALLS = `
                                         nobody other blocked send critical revoked gone fresh reader operator admin owner

POST /notifications/send                 401    403   403     202  403      401     401  403   403    403      202   403
POST /notifications/send/batch           401    403   403     202  403      401     401  403   403    403      202   403
GET /notifications/sends/{sendId}        401    403   403     404  403      401     401  403   200    200      200   403

GET /service-tokens                      401    403   403     401  401      401     401  403   200    200      200   403
POST /service-tokens                     401    403   403     401  401      401     401  403   403    403      201   403
DELETE /service-tokens/{id}              401    403   403     401  401      401     401  403   403    403      204   403
GET /admin/audit                         401    403   403     401  401      401     401  403   200    200      200   403
GET /admin/audit/export                  401    403   403     401  401      401     401  403   200    200      200   403
GET /admin/trace                         401    403   403     401  401      401     401  403   200    200      200   403
GET /admin/trace/{userId}/{notificationId} 401  403   403     401  401      401     401  403   404    404      404   403
GET /admin/roles                         401    403   403     401  401      401     401  403   200    200      200   403
PUT /admin/users/{id}/role               401    403   403     401  401      401     401  403   403    403      200   403
POST /admin/users/{id}/what-if           401    403   403     401  401      401     401  403   200    200      200   403
GET /admin/users/{id}/why-not            401    403   403     401  401      401     401  403   200    200      200   403
GET /admin/system                        401    403   403     401  401      401     401  403   200    200      200   403
GET /admin/history                       401    403   403     401  401      401     401  403   200    200      200   403
GET /admin/pipeline/stream               401    403   403     401  401      401     401  403   200    200      200   403
GET /admin/tables                        401    403   403     401  401      401     401  403   200    200      200   403
GET /admin/tables/{name}                 401    403   403     401  401      401     401  403   200    200      200   403
GET /admin/jobs                          401    403   403     401  401      401     401  403   200    200      200   403
GET /admin/workers                       401    403   403     401  401      401     401  403   200    200      200   403
GET /admin/lanes                         401    403   403     401  401      401     401  403   200    200      200   403
GET /admin/locks                         401    403   403     401  401      401     401  403   200    200      200   403
GET /admin/pending                       401    403   403     401  401      401     401  403   200    200      200   403
GET /admin/invariants                    401    403   403     401  401      401     401  403   200    200      200   403
GET /admin/deliveries                    401    403   403     401  401      401     401  403   200    200      200   403
GET /admin/webhooks                      401    403   403     401  401      401     401  403   200    200      200   403
GET /admin/breakers                      401    403   403     401  401      401     401  403   200    200      200   403
GET /admin/settings                      401    403   403     401  401      401     401  403   200    200      200   403
GET /admin/advice                        401    403   403     401  401      401     401  403   200    200      200   403
GET /admin/users/{id}/timeline           401    403   403     401  401      401     401  403   200    200      200   403
GET /admin/users                         401    403   403     401  401      401     401  403   200    200      200   403
GET /admin/users/{id}/explain            401    403   403     401  401      401     401  403   200    200      200   403
GET /admin/users/{id}/badge              401    403   403     401  401      401     401  403   200    200      200   403
GET /admin/sql/{name}                    401    403   403     401  401      401     401  403   200    200      200   403
GET /admin/dead-letters                  401    403   403     401  401      401     401  403   200    200      200   403
GET /admin/dead-letters/{id}             401    403   403     401  401      401     401  403   200    200      200   403
GET /admin/dead-letters/causes           401    403   403     401  401      401     401  403   200    200      200   403
POST /admin/dead-letters/replay          401    403   403     401  401      401     401  403   403    202      202   403
POST /admin/dead-letters/{id}/dry-run    401    403   403     401  401      401     401  403   403    200      200   403
POST /admin/dead-letters/{id}/replay     401    403   403     401  401      401     401  403   403    202      202   403
GET /admin/notification-types            401    403   403     401  401      401     401  403   200    200      200   403
PATCH /admin/notification-types/{type}   401    403   403     401  401      401     401  403   403    403      200   403
GET /admin/broadcasts                    401    403   403     401  401      401     401  403   200    200      200   403
POST /admin/broadcasts                   401    403   403     401  401      401     401  403   403    403      201   403
GET /admin/broadcasts/{id}               401    403   403     401  401      401     401  403   200    200      200   403
PUT /admin/broadcasts/{id}               401    403   403     401  401      401     401  403   403    403      200   403
DELETE /admin/broadcasts/{id}            401    403   403     401  401      401     401  403   403    403      204   403
GET /admin/broadcasts/{id}/recipients    401    403   403     401  401      401     401  403   200    200      200   403
POST /admin/broadcasts/{id}/dry-run      401    403   403     401  401      401     401  403   200    200      200   403
POST /admin/broadcasts/{id}/test         401    403   403     401  401      401     401  403   403    403      202   403
POST /admin/broadcasts/{id}/send         401    403   403     401  401      401     401  403   403    403      200   403
POST /admin/broadcasts/{id}/pause        401    403   403     401  401      401     401  403   403    200      200   403
POST /admin/broadcasts/{id}/resume       401    403   403     401  401      401     401  403   403    200      200   403
POST /admin/broadcasts/{id}/cancel       401    403   403     401  401      401     401  403   403    200      200   403
POST /admin/broadcasts/{id}/recall       401    403   403     401  401      401     401  403   403    403      200   403
GET /admin/segments                      401    403   403     401  401      401     401  403   200    200      200   403
POST /admin/segments                     401    403   403     401  401      401     401  403   403    403      201   403
POST /admin/segments/estimate            401    403   403     401  401      401     401  403   403    200      200   403
GET /admin/segments/{id}                 401    403   403     401  401      401     401  403   200    200      200   403
PATCH /admin/segments/{id}               401    403   403     401  401      401     401  403   403    403      200   403
DELETE /admin/segments/{id}              401    403   403     401  401      401     401  403   403    403      204   403
GET /admin/templates                     401    403   403     401  401      401     401  403   200    200      200   403
POST /admin/templates                    401    403   403     401  401      401     401  403   403    403      201   403
GET /admin/templates/{id}                401    403   403     401  401      401     401  403   200    200      200   403
PATCH /admin/templates/{id}              401    403   403     401  401      401     401  403   403    403      200   403
POST /admin/templates/{id}/preview       401    403   403     401  401      401     401  403   200    200      200   403
POST /admin/templates/preview            401    403   403     401  401      401     401  403   200    200      200   403
DELETE /admin/templates/{id}             401    403   403     401  401      401     401  403   403    403      204   403
`

/**
 * Users of another application: services with the scope, and admins. Everybody finds them by their ids there. Each caller
 * deletes another one.
 */
const EXTERNAL_CALLS = `
                                     nobody other blocked send critical users revoked gone fresh admin owner

GET /users/external/{externalId}     401    200   404     403  403      200   401     401  200   200   200
PUT /users/external/{externalId}     401    403   403     403  403      200   401     401  403   200   403
PUT /users/external                  401    403   403     403  403      200   401     401  403   200   403
DELETE /users/external/{externalId}  401    403   403     403  403      204   401     401  403   204   403
`

/** Endpoints that take events: services with the scope, and admins. Each caller deletes another one. */
const WEBHOOK_CALLS = `
                                                   nobody other blocked send critical webhooks revoked gone fresh reader operator admin owner

POST /webhooks                                     401    403   403     403  403      201      401     401  403   403    403      201   403
GET /webhooks                                      401    403   403     403  403      200      401     401  403   200    200      200   403
GET /webhooks/{id}                                 401    403   403     403  403      200      401     401  403   200    200      200   403
PATCH /webhooks/{id}                               401    403   403     403  403      200      401     401  403   403    403      200   403
POST /webhooks/{id}/rotate-secret                  401    403   403     403  403      200      401     401  403   403    403      200   403
POST /webhooks/{id}/test                           401    403   403     403  403      202      401     401  403   403    403      202   403
GET /webhooks/{id}/deliveries                      401    403   403     403  403      200      401     401  403   200    200      200   403
POST /webhooks/{id}/deliveries/{deliveryId}/retry  401    403   403     403  403      202      401     401  403   403    202      202   403
POST /webhooks/{id}/recover                        401    403   403     403  403      200      401     401  403   403    200      200   403
DELETE /webhooks/{id}                              401    403   403     403  403      204      401     401  403   403    403      204   403
`

/** What each frame is answered with: a frame, a close code, or nothing (-). */
const FRAMES = `
                nobody  other    blocked  send  critical  revoked  gone  fresh    admin    owner

# The first frame has to be hello.
hello           4401    welcome  welcome  4401  4401      4401     4403  welcome  welcome  welcome
ping            4400    pong     pong     4401  4401      4401     4403  pong     pong     pong

# They name notifications and states of the owner. No other inbox has them: nothing is read, an ack is
# cut to what was sent on the socket, and a state is refused.
ack             4400    -        -        4401  4401      4401     4403  -        -        -
read            4400    ok       ok       4401  4401      4401     4403  ok       ok       ok
unread          4400    ok       ok       4401  4401      4401     4403  ok       ok       ok
archive         4400    ok       ok       4401  4401      4401     4403  ok       ok       ok
unarchive       4400    ok       ok       4401  4401      4401     4403  ok       ok       ok
delete          4400    ok       ok       4401  4401      4401     4403  ok       ok       ok
readAll         4400    error    error    4401  4401      4401     4403  error    error    ok
seen            4400    error    error    4401  4401      4401     4403  error    error    ok

# Counts of a post of the owner, and of one that everybody may see.
watch           4400    counts   hidden   4401  4401      4401     4403  counts   counts   counts

# A token of the owner: a socket stays with its user.
token           4400    4403     4403     4401  4401      4401     4403  4403     4403     -
`

type Name =
  | 'nobody'
  | 'other'
  | 'blocked'
  | 'send'
  | 'critical'
  | 'users'
  | 'webhooks'
  | 'revoked'
  | 'gone'
  | 'fresh'
  | 'reader'
  | 'operator'
  | 'admin'
  | 'owner'
type Caller = { name: Name; token: string; user: TestClient | undefined }
type World = {
  system: TestSystem
  callers: Caller[]
  owner: TestClient
  epoch: string
  postId: string
  publicPostId: string
  /** Id of one of the owner's notifications, and the number of its state. */
  notice: string
}

/** Scopes of service tokens, by the column that shows them. */
const scopes: Partial<Record<Name, Scope>> = {
  send: 'notifications:send',
  critical: 'notifications:critical',
  users: 'users:write',
  webhooks: 'webhooks',
}

/** Texts of the owner that nobody else may be sent; nor may those whom the owner blocks be sent the hidden ones. */
const PRIVATE = ['anahera@example.org', 'A private notice', 'of-anahera.push.apple.com', 'Pacific/Chatham']
const HIDDEN = ['anahera', 'A post of the owner', 'A comment of the owner']

const EXTERNAL_ID = 'auth0|owner'

const METRICS_TOKEN = 'a token that only Prometheus has'
const POINT = 'BGsX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMKWT-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU'

test('the matrix contains every route, every frame and every kind of caller', async (t) => {
  const world = await makeWorld(t)

  await t.test('each frame gets the expected answer, and no other socket receives anything of an inbox', async (t) => {
    const rows = rowsOf(FRAMES)
    t.same(rows.map(({ what }) => what).sort(), Object.keys(clientFrames).sort(), 'each frame has its line')
    const before = await ownedBy(world, world.owner.id)
    const sockets = new Map<Name, TestSocket[]>()
    for (const owners of [false, true]) {
      for (const caller of world.callers.filter(({ name }) => (name === 'owner') === owners))
        for (const { what, cells } of rows) {
          const socket = await TestSocket.open(t, `${world.system.url.replace('http', 'ws')}/ws`)
          sockets.set(caller.name, [...(sockets.get(caller.name) ?? []), socket])
          t.equal(await say(world, socket, what, caller), cells.get(caller.name), `${what} by ${caller.name}`)
        }
      if (!owners) t.same(await ownedBy(world, world.owner.id), before, 'frames of others change nothing of the owner')
    }
    const own = (sockets.get('owner') ?? []).filter(({ closeCode }) => closeCode === undefined)
    own[0]?.send({ type: 'hello', token: world.owner.accessToken })
    const late = await TestSocket.open(t, `${world.system.url.replace('http', 'ws')}/ws`)
    late.send({ type: 'hello', token: world.owner.accessToken, since: 'unknown.1' })
    await late.next('reset')
    await addNotice(world)
    await eventually(() => own.every((socket) => JSON.stringify(socket.of('changes')).includes('A private notice')))
    const other = world.callers.find(({ name }) => name === 'other')?.user
    await other?.comment(world.publicPostId, 'A comment for who watches')
    await other?.post('A post for who watches')
    await eventually(() =>
      ['comments', 'feed'].every((type) => own.some(({ frames }) => frames.some((f) => f.type === type))),
    )
    const sent = new Set([...own, late].flatMap(({ frames }) => frames.map(({ type }) => type)))
    t.same([...sent].sort(), Object.keys(serverFrames).sort(), 'the owner was sent every kind of frame')
    for (const { name } of world.callers) {
      const frames = (sockets.get(name) ?? []).flatMap((socket) => socket.frames)
      t.same(leaked(frames, name), [], `${name} hears nothing of it`)
    }
  })

  await t.test('each call gives each caller the expected answer in the documented form', async (t) => {
    const document = (await call(world.system.url, 'GET', '/openapi.json')).body
    const fits = answersOf(document)
    const rows = [
      ...rowsOf(EXTERNAL_CALLS),
      ...rowsOf(WEBHOOK_CALLS),
      ...withExternalIds(rowsOf(ADMIN_CALLS)),
      ...withExternalIds(rowsOf(CALLS)),
    ]
    t.same(rows.map(({ what }) => what).sort(), routesOf(world).sort(), 'each route has its line')
    t.same(Object.values(scopes).sort(), [...Scope.enum].sort(), 'each scope has its column')
    const calls: Call[] = []
    for (const { what, cells } of rows) {
      const id = await thingFor(world, what)
      const [method = '', path = ''] = what.split(' ')
      const tryAs = async (caller: Caller) => {
        // What one of them has replayed or deleted, the next one does not find.
        const thing = /^(POST \/admin|DELETE \/(webhooks|users\/external\/\{externalId\}$))/.test(what)
          ? await thingFor(world, what)
          : id
        const answer = await ask(world, what, thing, caller)
        if (cells.get('other') === '403' && cells.get('admin') !== '403') calls.push({ what, caller, answer })
        const cell = `${what} by ${caller.name}`
        const found = { status: String(answer.status), leaked: leaked(answer.body, caller.name) }
        t.same(found, { status: cells.get(caller.name), leaked: [] }, cell)
        if (document.paths[path]?.[method.toLowerCase()]) fits(t, what, answer)
      }
      const before = await ownedBy(world, world.owner.id)
      await Promise.all(world.callers.filter(({ name }) => name !== 'owner').map(tryAs))
      t.same(await ownedBy(world, world.owner.id), before, `${what} by others changes nothing of the owner`)
      await Promise.all(world.callers.filter(({ name }) => name === 'owner').map(tryAs))
    }
    await checkAudit(t, world, calls)
  })
})

type Call = { what: string; caller: Caller; answer: Answer }

/** Calls of staff that only read, though they are no GET. */
const READS =
  names(`POST_/admin/broadcasts/{id}/dry-run POST_/admin/dead-letters/{id}/dry-run POST_/admin/segments/estimate
  POST_/admin/templates/{id}/preview POST_/admin/templates/preview POST_/admin/users/{id}/what-if`)
/** Traffic of an application, not administration, when a service calls. */
const TRAFFIC = ['POST /notifications/send', 'POST /notifications/send/batch', /^PUT \/users\/external/]
/** All that changes is a secret. */
const SECRET = ['POST /webhooks/{id}/rotate-secret']

/** Each change by staff, and by services but for their traffic, leaves one row with what changed; nothing else leaves any. */
async function checkAudit(t: Test, { system: { pool } }: World, calls: Call[]): Promise<void> {
  const { rows } = await pool.query<{ id: string; actor: string; shown: boolean }>(
    'select request_id as id, actor, before is not null or after is not null as shown from notify.audit where request_id is not null',
  )
  const found = Map.groupBy(rows, ({ id }) => id)
  for (const { what, caller, answer } of calls) {
    const isTraffic = TRAFFIC.some((one) => (typeof one === 'string' ? one === what : one.test(what)))
    const changes = !what.startsWith('GET ') && !READS.includes(byId(what).replace(' ', '_')) && answer.status < 300
    const actor = caller.user ? `user:${caller.user.id}` : 'token:'
    const expected = changes && (caller.user || !isTraffic) ? [{ by: actor, shown: !SECRET.includes(what) }] : []
    const audit = found.get(answer.headers.get('x-request-id') ?? '') ?? []
    const left = audit.map((row) => ({ by: row.actor.replace(/^token:.*/, 'token:'), shown: row.shown }))
    t.same(left, expected, `what ${what} by ${caller.name} leaves in the audit log`)
  }
  t.same((await pool.query('select * from ops.audit_breaks')).rows, [], 'the chain of the audit log holds')
}

/** Lines `what cell cell …` below a line of names; `#` begins a remark. */
function rowsOf(table: string): { what: string; cells: Map<string, string> }[] {
  const [head = '', ...lines] = table.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'))
  const names = head.trim().split(/\s+/)
  return lines.map((line) => {
    const words = line.trim().split(/\s+/)
    const cells = words.slice(-names.length)
    const byName = new Map(names.map((name, at) => [name, cells[at] ?? '']))
    return {
      what: words.slice(0, -names.length).join(' '),
      cells: new Map([
        ...['users', 'webhooks'].map((name) => [name, byName.get('critical') ?? ''] as const),
        ...['reader', 'operator'].map((name) => [name, byName.get('other') ?? ''] as const),
        ...byName,
      ]),
    }
  })
}

/** A call about a user answers the same when it names the user by external id. */
function withExternalIds(rows: ReturnType<typeof rowsOf>): ReturnType<typeof rowsOf> {
  return rows.flatMap((row) => {
    const what = row.what
      .replace('/users/{id}', '/users/external/{externalId}')
      .replace('/trace/{userId}', '/trace/external/{externalId}')
    return what === row.what || /^(GET|DELETE) \/users\/\{id\}$/.test(row.what) ? [row] : [{ ...row, what }, row]
  })
}

/** From Fastify's own tree of routes, hidden ones among them: `DELETE /posts/{id}`. HEAD goes with each GET. */
function routesOf({ system }: World): string[] {
  const parents: string[] = []
  return system.server
    .printRoutes({ commonPrefix: false })
    .split('\n')
    .flatMap((line) => {
      const [, indent = '', part = '', methods = ''] = /^([│ ]*)[├└]── (\S+) \((.+)\)$/.exec(line) ?? []
      if (!part) return []
      const depth = indent.length / 4
      parents[depth] = (depth > 0 ? parents[depth - 1] : '') + part
      const path = parents[depth].replace(/:(\w+)/g, '{$1}')
      return methods.split(', ').flatMap((method) => (method === 'HEAD' ? [] : [`${method} ${path}`]))
    })
}

async function makeWorld(t: Test): Promise<World> {
  const system = await setup(t, { env: { ...vapid, METRICS_TOKEN }, push: true })
  const { url, pool } = system
  const userOf = async (name: string) => signUp(url, name)
  const adminOf = async (name: string, role = 'admin') => {
    const { id } = await userOf(name)
    await pool.query('update social.users set role = $2 where id = $1', [id, role])
    return signIn(url, name)
  }
  const owner = await userOf('anahera')
  const [other, blocked, gone] = [await userOf('ben'), await userOf('cleo'), await userOf('dora')]
  const [fresh, admin] = [await adminOf('eve_first'), await adminOf('rita')]
  const [reader, operator] = [await adminOf('fay', 'reader'), await adminOf('gus', 'operator')]
  await pool.query('update social.users set password_change_required = true where id = $1', [fresh.id])
  await pool.query('update social.users set external_id = $2 where id = $1', [owner.id, EXTERNAL_ID])
  await gone.request('POST', '/auth/signout', { refreshToken: gone.refreshToken })
  await owner.request('PUT', `/users/${blocked.id}/block`)
  const postId = (await owner.post('A post of the owner')).id
  const publicPostId = (await other.post('A post for everybody')).id
  await owner.comment(publicPostId, 'A comment of the owner')
  await owner.request('PUT', `/posts/${publicPostId}/bookmark`)
  await owner.request('POST', '/push/subscriptions', subscription('of-anahera.push.apple.com'))
  await owner.request('PUT', '/notifications/preferences', {
    dnd: { enabled: false, timeZone: 'Pacific/Chatham', windows: [] },
  })
  const state: string = (await owner.get('/notifications/unread-count')).state
  const caller = (name: Name, token: string, user?: TestClient) => ({ name, token, user })
  const users = { other, blocked, gone, fresh, reader, operator, admin, owner }
  const callers = [
    caller('nobody', 'forged'),
    caller('revoked', await serviceToken(pool, 'notifications:send', true)),
    ...Object.entries(users).map(([name, user]) => caller(name as Name, user.accessToken, user)),
  ]
  for (const [name, scope] of Object.entries(scopes))
    callers.push(caller(name as Name, await serviceToken(pool, scope)))
  const world = { system, callers, owner, epoch: state.split('.')[0] ?? '', postId, publicPostId }
  return { ...world, notice: await addNotice(world) }
}

async function serviceToken(pool: TestSystem['pool'], scope: Scope, revoked = false): Promise<string> {
  const { token, hash } = newServiceToken()
  await pool.query(
    `insert into social.service_tokens (name, scopes, token_hash, revoked_at) values ($1, $2, $3, case when $4 then now() end)`,
    [scope, [scope], hash, revoked],
  )
  return token
}

/** Creates another notification of the owner. Its id equals the owner's state, and no other inbox has reached that number. */
async function addNotice({ system: { pool }, owner }: Pick<World, 'system' | 'owner'>): Promise<string> {
  const { rows } = await pool.query<{ id: string }>(
    `with i as (
       update notify.inbox set modseq = greatest(modseq, 1000) + 1, era = (greatest(modseq, 1000) + 1) / 8,
         unread_count = unread_count + 1, unseen_count = unseen_count + 1
       where user_id = $1 returning user_id, modseq)
     insert into notify.notifications (user_id, id, modseq, grown_modseq, type, title, expires_at)
     select user_id, modseq, modseq, modseq, 'system', 'A private notice', now() + interval '90 days' from i returning id`,
    [owner.id],
  )
  return rows[0]?.id ?? ''
}

/** Id of a thing of the owner that the call is about, made for it. */
async function thingFor(world: World, what: string): Promise<string> {
  const { system, owner, postId, publicPostId } = world
  const { pool, url } = system
  if (what === 'POST /auth/signout') return (await signIn(url, owner.username)).refreshToken
  if (what.includes('/auth/sessions/')) return (await signIn(url, owner.username)).sessionId
  if (what === 'DELETE /users/external/{externalId}') return numberOf(pool, newExternalUser)
  if (/\/(users|trace)\/external\//.test(what)) return EXTERNAL_ID
  if (what.includes('/users/{id}') || what.includes('/trace/')) return owner.id
  if (what.includes('/users/by-name/')) return owner.username
  if (/(PATCH|DELETE) \/posts\/\{id\}$/.test(what)) return (await owner.post('A post of the owner')).id
  if (what.includes('/posts/{id}')) return postId
  if (what.includes('/comments/{id}')) return (await owner.comment(publicPostId, 'A comment of the owner')).id
  if (what.includes('/push/subscriptions/')) return (await owner.get('/push/subscriptions')).items[0].id
  if (what.includes('/media/{id}')) return uploaded(url, owner)
  if (what.includes('/admin/tables/')) return 'social.posts'
  if (what.includes('/admin/sql/')) return 'lanes'
  if (what.includes('/notification-types/')) return 'post.liked'
  if (what.includes('/sends/')) return numberOf(pool, newSend)
  if (what.includes('/service-tokens/')) return numberOf(pool, newToken)
  if (what.includes('/dead-letters/')) return numberOf(pool, newDeadLetter)
  if (what.includes('/admin/broadcasts/')) return numberOf(pool, newBroadcast(what))
  if (what.includes('/admin/templates/')) return numberOf(pool, newTemplate)
  if (what.includes('/admin/segments/{id}')) return numberOf(pool, newSegment)
  if (what.includes('/webhooks/')) return numberOf(pool, newWebhook)
  return what.includes('/notifications') ? addNotice(world) : ''
}

const newSend = `insert into notify.sends (sender, source_id, recipient_ids, accepted, duplicates)
  values ('token:0', 'send:new:0', '{1}', 1, 0) returning id`
const newToken = `insert into social.service_tokens (name, scopes, token_hash)
  values ('shop', '{notifications:send}', gen_random_uuid()::text::bytea) returning id`
const newDeadLetter = `insert into notify.pending (consumer, event_id, recipient_id, event, attempts, last_error, dead_at)
  values ('notifications', (random() * 1e15)::bigint, 1, '{"id": 1, "action": "send", "retracts": false, "counted": false, "sourceId": "like:1:1", "type": "system", "recipientId": "999999999", "actorId": null,
    "objectType": null, "objectId": null, "threadKey": null, "groupKey": null, "data": {}, "requestId": null}', 9, 'why', now()) returning id`
/** For nobody: sending it changes nothing of the owner's. */
const newBroadcast = (what: string) => {
  const state = { pause: 'running', resume: 'paused', recall: 'finished' }[what.split('/').at(-1) ?? ''] ?? 'draft'
  return `insert into notify.broadcasts (name, created_by, state, audience, content) values ('News', 1, '${state}', '{"rule": {"ids": ["999999999"]}}',
  '{"type": "system", "title": "News", "body": null, "url": null, "severity": null, "actorId": null, "data": {}, "translations": {}}') returning id`
}
const newExternalUser = `with u as (
    insert into social.users (external_id, username, display_name, password_hash)
    select n, 'external_' || left(n, 12), 'External', '!' from (select replace(gen_random_uuid()::text, '-', '') as n) x returning id, external_id
  ), i as (insert into notify.inbox (user_id) select id from u)
  select external_id as id from u`
const newSegment = `insert into social.segments (name, query) values (gen_random_uuid()::text, 'select 1') returning id`
const newTemplate = `with t as (insert into notify.templates (name) values (gen_random_uuid()::text) returning id)
  insert into notify.template_versions (template_id, version, type, title, variables, translations) select id, 1, 'system', 'Hello', '{}', '{}' from t
  returning template_id as id`
/** With a delivery of the same number. */
const newWebhook = `with w as (
    insert into notify.webhooks (endpoint, events) values ('https://example.org/hooks', '{dead_letter.created}') returning id)
  insert into notify.webhook_deliveries (id, webhook_id, event) overriding system value select id, id, 'webhook.test' from w returning id`

async function numberOf(pool: TestSystem['pool'], insert: string): Promise<string> {
  return (await pool.query<{ id: string }>(insert)).rows[0]?.id ?? ''
}

/** The same call, with the user named by id. */
const byId = (what: string) =>
  what
    .replace(/\/users\/external\/\{externalId\}(?=\/)|(?<=^PATCH )\/users\/external\/\{externalId\}$/, '/users/{id}')
    .replace('/trace/external/{externalId}', '/trace/{userId}')

let asked = 0
async function ask(world: World, what: string, id: string, caller: Caller): Promise<Answer> {
  const { system, owner, epoch } = world
  const [method = '', path = ''] = what.split(' ')
  const { name, token, user } = caller
  asked += 1
  const link = linkOf(world, path, caller)
  const resetLink = what === 'POST /auth/password/reset' && user ? await resetLinkOf(world, user) : link
  const bodies: Record<string, unknown> = {
    'POST /auth/signup': { username: `new_${asked}`, email: `new_${asked}@example.org`, password: PASSWORD },
    'POST /auth/signin': { login: owner.username, password: name === 'owner' ? PASSWORD : 'not the password' },
    'POST /auth/refresh': { refreshToken: user?.refreshToken ?? 'forged' },
    'POST /auth/signout': { refreshToken: id },
    'PUT /auth/password': { currentPassword: PASSWORD, password: `${PASSWORD} staple` },
    'POST /auth/verify-email': { token: link },
    'POST /auth/password/forgot': { login: owner.username },
    'POST /auth/password/reset': { token: resetLink, password: `${PASSWORD} battery` },
    'PATCH /auth/me': { locale: 'de' },
    'POST /unsubscribe/{token}': {},
    'PATCH /users/{id}': { bio: 'Hello' },
    'PUT /users/external': { users: [{ externalId: EXTERNAL_ID }] },
    'DELETE /users/{id}': { currentPassword: `${PASSWORD} staple` },
    'PUT /users/{id}/bell': { enabled: true },
    'POST /posts': { body: 'Hello' },
    'PATCH /posts/{id}': { body: 'A post of the owner' },
    'POST /posts/{id}/comment': { body: 'Hello' },
    'PATCH /comments/{id}': { body: 'A comment of the owner' },
    'PUT /notifications/preferences': {},
    'POST /notifications/preferences/what-if': { preferences: {} },
    'POST /notifications/read': { ids: [id] },
    'POST /notifications/archive': { ids: [id] },
    'POST /notifications/delete': { ids: [id] },
    'PATCH /notifications/mark-all-read': {},
    'POST /notifications/seen': { upTo: `${epoch}.0` },
    'POST /notifications/ack': { state: `${epoch}.0` },
    'POST /push/subscriptions': subscription(`of-${name}.push.apple.com`),
    'POST /notifications/send': { recipientId: owner.id, title: 'Hello', message: 'It is you' },
    'POST /notifications/send/batch': { recipientIds: [owner.id], title: 'Hello', message: 'It is you' },
    'POST /service-tokens': { name: 'shop', scopes: ['notifications:send'] },
    'PATCH /admin/notification-types/{type}': { jitter: 0.5 },
    'PUT /admin/users/{id}/role': { role: 'user', currentPassword: PASSWORD },
    'POST /admin/broadcasts': { name: 'News', content: { title: 'News' }, rule: { ids: ['999999999'] } },
    'PUT /admin/broadcasts/{id}': { name: 'News', content: { title: 'Newer' }, rule: { ids: ['999999999'] } },
    'POST /admin/broadcasts/{id}/test': { userIds: ['999999999'] },
    'POST /admin/segments': { name: `Segment ${asked}`, rule: { role: 'admin' } },
    'POST /admin/segments/estimate': { rule: { role: 'admin' } },
    'PATCH /admin/segments/{id}': { rule: { role: 'admin' } },
    'POST /admin/templates': { name: `Template ${asked}`, title: 'Hello' },
    'POST /admin/templates/preview': { template: { title: 'Hello' } },
    'POST /admin/users/{id}/what-if': { preferences: {} },
    'PATCH /admin/templates/{id}': { title: 'Hello again' },
    'POST /admin/dead-letters/replay': { upTo: '1' },
    'POST /webhooks': { url: 'https://example.org/hooks', events: ['notification.created'] },
    'PATCH /webhooks/{id}': { description: 'Shop' },
    'POST /webhooks/{id}/recover': { since: '2026-01-01T00:00:00Z' },
  }
  const queries: Record<string, string> = {
    'GET /users/search': `?q=${owner.username}`,
    'GET /posts/search': '?q=post',
    'GET /auth/verify-email': `?token=${link}`,
    'GET /admin/users': `?q=${owner.username}`,
    'GET /admin/users/{id}/why-not': '?sourceId=like:1:1',
    'GET /admin/pipeline/stream': '?ticks=1',
    'GET /admin/trace': '?requestId=unknown',
    'GET /auth/password/reset': `?token=${link}`,
    'GET /notifications/changes': `?since=${epoch}.0`,
  }
  if (path === '/media/upload') return upload(system.url, { accessToken: token }, PIXEL)
  const target =
    path
      .replace('{token}', link)
      .replace('guides/{name}', 'guides/sql.md')
      .replace('{notificationId}', '999999999')
      .replace(/\{\w+\}/g, id)
      .replace('*', 'static/swagger-ui.css') + (queries[byId(what)] ?? '')
  return call(system.url, method, target.startsWith('/') ? target : `/${target}`, bodies[byId(what)], {
    'idempotency-key': `key-${asked}`,
    ...(name !== 'nobody' && { authorization: `Bearer ${token}` }),
    ...(method === 'OPTIONS' && { origin: 'https://elsewhere.example', 'access-control-request-method': 'GET' }),
  })
}

/** The token in a link of a mail to the caller; of callers who are no users, one of the owner that somebody changed. */
function linkOf({ system: { app }, owner }: World, path: string, { user }: Caller): string {
  const { id, username } = user ?? owner
  const token = path.startsWith('/unsubscribe')
    ? unsubscribeToken(app.config, id)
    : emailToken(app.config, id, `${username}@example.org`)
  return user ? token : token.replace(/.{4}$/, 'AAAA')
}

async function resetLinkOf({ system: { app } }: World, { id }: TestClient): Promise<string> {
  const { rows } = await app.pool.query('select email, password_hash from social.users where id = $1', [id])
  return resetToken(app.config, { userId: id, email: rows[0].email, passwordHash: rows[0].password_hash })
}

function subscription(host: string) {
  return { endpoint: `https://${host}/1`, keys: { p256dh: POINT, auth: 'a'.repeat(22) } }
}

/** Sends hello, if the caller has a token, then the frame. Returns the answer. */
async function say(world: World, socket: TestSocket, type: string, { name, token }: Caller): Promise<string> {
  const { epoch, owner, postId, publicPostId, notice } = world
  const upTo = `${epoch}.${notice}`
  const input: Record<string, object> = {
    ack: { state: upTo },
    read: { ids: [notice] },
    unread: { ids: [notice] },
    archive: { ids: [notice] },
    unarchive: { ids: [notice] },
    delete: { ids: [notice] },
    readAll: { upTo },
    seen: { upTo },
    watch: { posts: [postId, publicPostId], comments: publicPostId, feed: 'all' },
    token: { token: owner.accessToken },
  }
  if (name !== 'nobody' || type === 'hello') {
    socket.send({ type: 'hello', token })
    const answer = await eventually(() => socket.closeCode ?? socket.of('synced')[0])
    if (typeof answer === 'number') return String(answer)
    if (type === 'hello') return String(socket.frames[0]?.type)
  }
  socket.send({ type, ...input[type] })
  if (type !== 'ping') socket.send({ type: 'ping' })
  const answers = () => socket.frames.filter(({ type }) => !['welcome', 'changes', 'synced'].includes(type))
  const done = () => socket.closeCode ?? (type === 'watch' ? socket.of('counts')[0] : socket.of('pong')[0])
  const answer = await eventually(done)
  if (typeof answer === 'number') return String(answer)
  if (answer.type === 'counts') return answer.posts.some((post) => post.id === postId) ? 'counts' : 'hidden'
  const [first] = answers()
  return type !== 'ping' && first?.type === 'pong' ? '-' : String(first?.type)
}

/** Which of these texts a caller was sent, apart from the path that the caller asked for. */
function leaked(sent: unknown, name: Name): string[] {
  if (name === 'owner') return []
  const text = (JSON.stringify(sent) ?? '').replace(/"instance":"[^"]*"/, '')
  const secrets = name === 'blocked' ? [...PRIVATE, ...HIDDEN] : PRIVATE
  return secrets.filter((secret) => text.includes(secret))
}

/** Columns that hold whose a row is; the first that a table has. */
const OWNERS = ['user_id', 'owner_id', 'author_id', 'follower_id']
/** Conditions for tables without one of them. */
const OWNED: Record<string, string> = {
  'social.users': 'id = $1',
  'social.refresh_tokens': 'session_id in (select id from social.sessions where user_id = $1)',
  'notify.webhook_deliveries': 'recipient_id = $1',
  'notify.broadcast_audience': 'recipient_id = $1',
  'notify.broadcast_late': 'recipient_id = $1',
  'social.idempotency_keys': `caller = 'user:' || $1`,
}
/** Tables whose rows belong to no user, or to other users. */
const NOBODYS = names(
  `notify.audit notify.audit_chain social.media_chunks social.media_contents social.ended_external_ids social.rate_limits social.service_tokens social.taken_names
   notify.delivery_log notify.delivery_log_days notify.fan_outs notify.installation notify.maintenance notify.migrations
   notify.migrations_lock notify.named_locks notify.outbox notify.outbox_partitions notify.pending notify.positions notify.processes notify.retention_cursors notify.settings notify.sends notify.types notify.unreached notify.webhooks notify.webhook_secrets
  
   social.segments notify.template_versions notify.templates
   notify.broadcasts
   notify.workers`,
)

/** Every row of a user, by table; fails on a table of which it is not known whose its rows are. */
async function ownedBy({ system: { pool } }: World, userId: string): Promise<Record<string, unknown>> {
  const { rows: tables } = await pool.query<{ name: string; columns: string[] }>(
    `select n.nspname || '.' || c.relname as name, array_agg(a.attname::text) as columns
     from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid and a.attnum > 0
     where n.nspname in ('social', 'notify') and c.relkind in ('r', 'p') and not c.relispartition group by 1 order by 1`,
  )
  const selects = tables.flatMap(({ name, columns }) => {
    if (NOBODYS.includes(name)) return []
    const column = OWNERS.find((owner) => columns.includes(owner))
    const owned = OWNED[name] ?? (column && `${column} = $1`)
    if (!owned) throw new Error(`whose are the rows of ${name}?`)
    return `select '${name}' as name, (select json_agg(r::text order by r::text) from ${name} r where ${owned.replace('$1', userId)}) as found`
  })
  const { rows } = await pool.query<{ name: string; found: unknown }>(selects.join(' union all '))
  return Object.fromEntries(rows.map(({ name, found }) => [name, found]))
}

function names(text: string): string[] {
  return text.split(/\s+/)
}
