import { Writable } from 'node:stream'
import { pino } from 'pino'
import { test } from 'tap'
import { grantAdmin } from '../../src/social/accounts/admin.ts'
import { signIn } from '../client.ts'
import { TestSocket } from '../push/socket.ts'
import { eventually, setup } from '../setup.ts'

test('one request id connects the log lines of request, event and frame', async (t) => {
  const lines: Record<string, unknown>[] = []
  const stream = new Writable({
    write(chunk, _encoding, done) {
      lines.push(JSON.parse(String(chunk)))
      done()
    },
  })
  const { url, as } = await setup(t, { worker: true, push: true, log: pino({ level: 'debug' }, stream) })
  const [ana, ben] = [await as('ana'), await as('ben')]
  const socket = await TestSocket.open(t, `${url.replace('http', 'ws')}/ws`)
  socket.send({ type: 'hello', token: ana.accessToken })
  await socket.next('synced')

  const { id } = await ana.post('Hello')
  const answer = await ben.request('POST', `/posts/${id}/like`, undefined, { 'x-request-id': 'trace-me' })
  t.equal(answer.headers.get('x-request-id'), 'trace-me')
  await socket.next('changes')

  const about = () => lines.filter((line) => JSON.stringify(line).includes('trace-me'))
  await eventually(() => about().length === 4)
  const messages = about().map(({ msg }) => msg)
  t.same(messages.sort(), ['answered', 'read an event', 'read an event', 'sent changes'])
  const byMessage = (msg: string) => about().filter((line) => line.msg === msg)
  t.match(byMessage('answered'), [{ requestId: 'trace-me', method: 'POST', path: `/posts/${id}/like`, status: 200 }])
  t.match(new Set(byMessage('read an event').map(({ consumer }) => consumer)), new Set(['counters', 'notifications']))
  t.match(byMessage('read an event')[0], { requestId: 'trace-me', sourceId: `like:${id}:${ben.id}` })
  t.match(byMessage('sent changes'), [{ requestIds: ['trace-me'], userId: ana.id }])

  const log = JSON.stringify(lines)
  for (const secret of [ana.accessToken, ana.refreshToken, 'correct horse']) t.notOk(log.includes(secret))
})

test('an admin follows a notification from the request to the acknowledgement', async (t) => {
  const { url, as, pool } = await setup(t, { worker: true, push: true })
  const [ana, ben] = [await as('ana'), await as('ben')]
  await as('cem')
  await grantAdmin(pool, 'cem')
  const admin = await signIn(url, 'cem')
  const socket = await TestSocket.open(t, `${url.replace('http', 'ws')}/ws`)
  socket.send({ type: 'hello', token: ana.accessToken })
  await socket.next('synced')
  const { id } = await ana.post('Hello')
  await ben.request('POST', `/posts/${id}/like`, undefined, { 'x-request-id': 'follow-me' })
  const { to, upserts } = await socket.next('changes')
  socket.send({ type: 'ack', state: to })
  const path = `/admin/trace/${ana.id}/${upserts[0]?.id}`
  const modseq = to.split('.')[1]
  const found = await eventually(async () => {
    const { steps } = await admin.get(path)
    return steps.some(({ step }: { step: string }) => step === 'acknowledged') &&
      steps.some(({ step }: { step: string }) => step === 'pushed')
      ? steps
      : undefined
  })
  const one = (step: string) => found.find((each: { step: string }) => each.step === step)
  t.match(one('event'), { requestId: 'follow-me', sourceId: `like:${id}:${ben.id}`, detail: 'like post.liked' })
  t.match(one('decision'), { detail: 'shown, typeDefault', eventId: one('event').eventId })
  t.match(one('created'), { modseq })
  t.match(one('stored'), { modseq })
  t.match(one('pushed'), { modseq, sessions: [ana.sessionId] })
  t.match(one('acknowledged'), { modseq, sessions: null })

  t.match(await admin.get('/admin/trace?requestId=follow-me'), {
    events: [{ actorId: ben.id, recipientId: ana.id, decision: 'shown', notificationId: upserts[0]?.id }],
    looked: { events: Number, backTo: String },
    nextCursor: null,
  })
  t.match((await admin.request('GET', `/admin/trace/${ana.id}/999`)).body, { code: 'NOTIFICATION_NOT_FOUND' })

  await pool.query(`update social.users set external_id = 'shop/1' where id = $1`, [ana.id])
  t.match(await admin.get(`/admin/trace/external/shop%2F1/${upserts[0]?.id}`), { userId: ana.id, steps: found })
  t.match(await admin.request('GET', '/admin/trace/external/nobody/1'), {
    status: 404,
    body: { code: 'USER_NOT_FOUND' },
  })

  t.equal((await admin.get(path)).content, null)
  t.match((await admin.get(`${path}?reveal=true`)).content, { data: { postId: id } })
  const { items } = await admin.get('/admin/audit?action=notification.reveal')
  t.match(items, [{ actor: `user:${admin.id}`, target: `notification:${ana.id}:${upserts[0]?.id}` }])

  const { body: shop } = await admin.request('POST', '/service-tokens', {
    name: 'shop',
    scopes: ['notifications:send'],
  })
  const [{ role }] = (await pool.query('select current_user as role')).rows
  const send = (key: string, more: object, headers: Record<string, string> = {}) =>
    admin.request(
      'POST',
      '/notifications/send',
      { recipientId: ana.id, title: 'Paid', message: 'Paid', ...more },
      {
        'idempotency-key': key,
        ...headers,
      },
    )
  const sends: [by: string, () => Promise<unknown>][] = [
    [`user:${admin.id} @cem`, () => send('by-admin', {})],
    [
      `token:${shop.id} "shop"`,
      () => send('by-service', { sourceId: 'order:7' }, { authorization: `Bearer ${shop.token}` }),
    ],
    [
      `role:${role}`,
      () => pool.query(`select notify.emit('shop.paid', array[$1::bigint], 'order:7', 'Paid')`, [ana.id]),
    ],
  ]
  for (const [by, act] of sends) {
    await act()
    const { upserts } = await socket.next('changes')
    const { steps } = await admin.get(`/admin/trace/${ana.id}/${upserts[0]?.id}`)
    t.match(steps.slice(0, 2), [{ step: 'sent', detail: by }, { step: 'event' }], by)
  }
  const { items: audited } = await admin.get('/admin/audit?action=notification.send')
  t.same(
    audited.map(({ actor }: { actor: string }) => actor),
    [`user:${admin.id}`],
    'sends by services wait for no audit row',
  )
})
