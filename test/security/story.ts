import type { Test } from 'tap'
import { unsubscribeToken } from '../../src/notify/channels/email/unsubscribe.ts'
import { maintainPartitions } from '../../src/notify/outbox/partitions.ts'
import { purge } from '../../src/worker/retention.ts'
import { type Answer, call, PASSWORD, signIn } from '../client.ts'
import { TestSocket } from '../push/socket.ts'
import { settled } from '../settled.ts'
import { eventually, type TestSystem } from '../setup.ts'

/** Private texts of the story, which no other user may read. */
export type Secrets = Record<string, string>

/**
 * Uses every part of the server at least once, from sign-up to the deletion of the account, on a system with all roles.
 * Fails on an unexpected answer.
 */
export async function runStory(t: Test, system: TestSystem): Promise<Secrets> {
  const { app, as, url, pool } = system
  const [ana, ben] = [await as('ana'), await as('ben')]
  const done = async (answer: Promise<Answer>, status = 200) => {
    const { status: found, body } = await answer
    t.equal(found, status, JSON.stringify(body))
    return body
  }
  const socket = await TestSocket.open(t, `${url.replace('http', 'ws')}/ws`)
  socket.send({ type: 'hello', token: ana.accessToken })
  await socket.next('synced')

  const post = await ana.post('What only friends should read')
  await ben.follow(ana.id)
  await ben.like(post.id)
  const comment = await ben.comment(post.id, 'Whispered to @ana')
  await ana.comment(post.id, 'And back', comment.id)
  await settled(system)
  const { upserts } = await eventually(() => socket.of('changes').find(({ unreadCount }) => unreadCount === 3))
  t.ok(upserts.length > 0)
  await done(ana.request('PATCH', '/notifications/mark-all-read'))
  for (const path of ['/notifications', '/notifications/stats', '/notifications/history', '/users/search?q=be'])
    await done(ana.request('GET', path))
  await done(ana.request('PUT', '/notifications/preferences', { policy: { strangers: 'filter' } }))
  await done(ana.request('PUT', `/users/${ben.id}/block`), 204)
  await done(ana.request('PUT', `/posts/${post.id}/bookmark`), 204)
  await done(ana.request('DELETE', `/posts/${post.id}`), 204)
  await settled(system)

  const phone = await signIn(url, 'ana')
  const unsubscribe = unsubscribeToken(app.config, ana.id)
  await done(call(url, 'POST', '/auth/signin', { login: 'ana', password: 'a wrong password' }), 401)
  await done(call(url, 'POST', '/auth/signup', { username: 'x', password: 'refused password' }), 400)
  await done(call(url, 'POST', '/auth/signup', '{"password": "broken password'), 400)
  const cookie = await call(url, 'POST', '/auth/signin?cookie=true', { login: 'ana', password: PASSWORD })
  const renewed = await done(call(url, 'POST', '/auth/refresh', { refreshToken: phone.refreshToken }))
  await done(call(url, 'POST', '/auth/refresh', { refreshToken: renewed.refreshToken }))
  await done(call(url, 'POST', '/auth/refresh', { refreshToken: phone.refreshToken }), 401)
  await done(call(url, 'GET', `/unsubscribe/${unsubscribe}`))
  await done(call(url, 'POST', `/unsubscribe/${unsubscribe}`, {}))
  await done(call(url, 'GET', `/unsubscribe/${unsubscribe}/`), 404)
  await done(call(url, 'GET', '/auth/verify-email?token=in-the-verification'), 400)
  await done(ana.request('GET', '/auth/me?token=in-the-query'), 400)
  await done(ana.deleteAccount(), 204)
  await eventually(() => socket.closeCode === 4403)
  await settled(system)
  await maintainPartitions(pool, app.log, 7)
  await purge(app)
  for (const path of ['/healthz', '/readyz', '/metrics', '/openapi.json']) await done(call(url, 'GET', path))

  return {
    password: PASSWORD,
    'wrong password': 'a wrong password',
    'refused password': 'refused password',
    'password in a broken body': 'broken password',
    'access token': ana.accessToken,
    'refresh token': ana.refreshToken,
    'spent refresh token': phone.refreshToken,
    'renewed access token': renewed.accessToken,
    'renewed refresh token': renewed.refreshToken,
    'refresh token in a cookie': cookie.headers.get('set-cookie')?.split(/[=;]/)[1] ?? '',
    'query string': 'in-the-query',
    'token of an unsubscribe link': unsubscribe,
    'token of a verification': 'in-the-verification',
    'secret of tokens': app.config.jwtSecret,
    email: 'ana@example.org',
    post: 'What only friends should read',
    comment: 'Whispered',
  }
}
