import { randomUUID } from 'node:crypto'
import { test } from 'tap'
import { signAccessToken } from '../../src/social/sessions/tokens.ts'
import { call, PASSWORD } from '../client.ts'
import { startPushService, vapid } from '../notify/channels/push-service.ts'
import { eventually } from '../setup.ts'
import { badgeOf, goOffline, signInBy, skip, webSystem } from './browser.ts'
import { renderLikes } from './measure.ts'

test('the service worker shows a push message and closes notifications read elsewhere', { skip }, async (t) => {
  const service = await startPushService(t)
  const system = await webSystem(t, { windowSeconds: 0, env: vapid, senders: { pushAgent: service.agent } })
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  const post = await ana.post('Good morning')
  const subscribed = await ana.request('POST', '/push/subscriptions', service.browser())
  t.equal(subscribed.status, 201)
  const { context, page } = await system.window()
  await context.grantPermissions(['notifications'])
  await page.goto('/signin')
  // Where the browser would subscribe at its own push service, the test's takes the message and the protocol delivers it.
  const devtools = await context.newCDPSession(page)
  const registered = new Promise<string>((resolve) =>
    devtools.on('ServiceWorker.workerVersionUpdated', ({ versions }) => {
      const active = versions.find(({ status }) => status === 'activated')
      if (active) resolve(active.registrationId)
    }),
  )
  await devtools.send('ServiceWorker.enable')
  await page.evaluate(() => navigator.serviceWorker.register('sw.js', { type: 'module' }))
  const registrationId = await registered
  let delivered = 0
  let deliveredAt = 0
  /** Delivers the messages in order until `condition` holds, the newest once a second, because the protocol loses some. */
  const deliverUntil = (condition: () => Promise<boolean>) =>
    eventually(async () => {
      if (performance.now() - deliveredAt > 1000) delivered = Math.max(0, delivered - 1)
      for (; delivered < service.pushes.length; delivered += 1) {
        deliveredAt = performance.now()
        const data = JSON.stringify(service.pushes[delivered]?.content)
        await devtools.send('ServiceWorker.deliverPushMessage', { origin: system.url, registrationId, data })
      }
      return condition()
    })
  const shown = () =>
    page.evaluate(async () => {
      const registration = await navigator.serviceWorker.ready
      return (await registration.getNotifications()).map(({ title, body, tag }) => ({ title, body, tag }))
    })

  await ben.comment(post.id, 'one')
  await deliverUntil(async () => (await shown()).length === 1)
  t.same(await shown(), [{ title: 'ben commented on your post', body: 'one', tag: '1' }])
  await ben.comment(post.id, 'two')
  await deliverUntil(async () => (await shown())[0]?.body === 'two')
  t.equal((await shown()).length, 1, 'a group takes its own place')
  await ana.request('PATCH', '/notifications/1/read')
  await ben.follow(ana.id)
  await deliverUntil(async () => (await shown())[0]?.title === 'ben followed you').catch(() =>
    t.fail(JSON.stringify(service.pushes.map(({ content }) => content))),
  )
  t.equal((await shown()).length, 1, 'what was read is closed')
  system.noErrors()
})

test('a thousand likes of a watched post cause at most four renders a second and one toast', { skip }, async (t) => {
  const system = await webSystem(t, { windowSeconds: 0 })
  const ana = await system.as('ana')
  const post = await ana.post('Good morning')
  const { page } = await system.window()
  await signInBy(page, 'ana', PASSWORD)
  const seen = await renderLikes(system, page, post.id, 1000)
  t.ok(seen.renders <= 4 * (seen.seconds + 2), `${seen.renders} renders in ${seen.seconds.toFixed(1)} s`)
  t.equal(seen.toasts, 1, 'one toast, which grows')
  await eventually(async () => (await badgeOf(page)) === 1)
  system.noErrors()
})

test('a send of an admin appears as toast, badge and row, also after a lost connection', { skip }, async (t) => {
  const system = await webSystem(t)
  const [ana, dora] = [await system.as('ana'), await system.as('dora')]
  await system.pool.query(`update social.users set role = 'admin' where id = $1`, [dora.id])
  const session = { userId: dora.id, sessionId: dora.sessionId, role: 'admin' } as const
  const authorization = `Bearer ${signAccessToken(system.config, session)}`
  const send = (title: string, priority: string) =>
    call(
      system.url,
      'POST',
      '/notifications/send',
      { recipientId: ana.id, title, message: 'Please read this.', priority },
      { authorization, 'idempotency-key': randomUUID() },
    )
  const { context, page } = await system.window()
  await signInBy(page, 'ana', PASSWORD)
  t.equal((await send('The harbour is closed', 'critical')).status, 202)
  await page.locator('[data-toast]').getByText('The harbour is closed').waitFor()
  await eventually(async () => (await badgeOf(page)) === 1)

  const asked: string[] = []
  await goOffline({ context, page })
  await send('The harbour is open', 'normal')
  page.on('request', (request) => asked.push(request.url()))
  await context.setOffline(false)
  await eventually(async () => (await badgeOf(page)) === 2)
  t.same(
    asked.filter((url) => url.includes('/notifications')),
    [],
    'the socket alone catches up',
  )
  await page.getByRole('button', { name: 'Notifications, 2 unread' }).click()
  const rows = page.getByRole('region', { name: 'Notifications' }).getByRole('listitem')
  await rows.getByText('The harbour is open').waitFor()
  await rows.getByText('The harbour is closed').waitFor()
  system.noErrors()
})
