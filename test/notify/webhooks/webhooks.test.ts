import { type Test, test } from 'tap'
import { grantAdmin } from '../../../src/social/accounts/admin.ts'
import { call, signIn, type TestClient } from '../../client.ts'
import { type Options, setup } from '../../setup.ts'

/** A system with an admin. */
async function withAdmin(t: Test, options: Options = {}) {
  const system = await setup(t, options)
  await system.as('rita')
  await grantAdmin(system.pool, 'rita')
  return { ...system, admin: await signIn(system.url, 'rita') }
}

const URL_OF_SHOP = 'https://shop.example/hooks'

async function make(admin: TestClient, url: string, events: string[], description?: string) {
  const { status, body } = await admin.request('POST', '/webhooks', { url, events, description })
  if (status !== 201) throw new Error(JSON.stringify(body))
  return body as { id: string; secret: string }
}

test('admins and services with the scope make, change, list and delete webhooks; a secret is shown once', async (t) => {
  const { admin, as, url } = await withAdmin(t, { env: { WEBHOOK_HOSTS: 'app.internal, 10.0.0.5:8080' } })
  const ana = await as('ana')
  const made = await admin.request('POST', '/webhooks', { url: URL_OF_SHOP, events: ['notification.read'] })
  t.equal(made.status, 201)
  t.match(made.body, { id: String, secret: /^whsec_[\w+/]{43}=$/ })
  t.same(Object.keys(made.body), ['id', 'secret'])
  const shown = await admin.get(`/webhooks/${made.body.id}`)
  t.match(shown, {
    id: made.body.id,
    url: URL_OF_SHOP,
    events: ['notification.read'],
    description: null,
    enabled: true,
    disabledAt: null,
    disabledBecause: null,
    failingSince: null,
    lastError: null,
  })
  t.notOk(JSON.stringify(shown).includes('whsec_'))
  const change = { events: ['delivery.failed'], description: 'Shop', enabled: false }
  const changed = await admin.request('PATCH', `/webhooks/${made.body.id}`, change)
  t.match(changed, {
    status: 200,
    body: { ...change, url: URL_OF_SHOP, disabledBecause: 'byHand', disabledAt: String },
  })
  t.match(await admin.request('POST', `/webhooks/${made.body.id}/test`), {
    status: 409,
    body: { code: 'WEBHOOK_DISABLED' },
  })
  const enabled = await admin.request('PATCH', `/webhooks/${made.body.id}`, { enabled: true })
  t.match(enabled.body, { ...change, enabled: true, disabledBecause: null, disabledAt: null })

  const token = await admin.request('POST', '/service-tokens', { name: 'shop', scopes: ['webhooks'] })
  const authorization = `Bearer ${token.body.token}`
  const byService = await call(
    url,
    'POST',
    '/webhooks',
    { url: 'http://10.0.0.5:8080/hooks', events: ['dead_letter.created'] },
    { authorization },
  )
  t.equal(byService.status, 201, 'also where WEBHOOK_HOSTS says so')
  t.equal((await make(admin, 'https://app.internal/hooks', ['broadcast.finished'], 'App')).secret.length, 50)
  const first = await admin.get('/webhooks?limit=2')
  const second = await admin.get(`/webhooks?limit=2&cursor=${first.nextCursor}`)
  const urls = [...first.items, ...second.items].map((item: { url: string }) => item.url)
  t.same(urls, ['https://app.internal/hooks', 'http://10.0.0.5:8080/hooks', URL_OF_SHOP])
  t.equal((await ana.request('GET', '/webhooks')).status, 403)

  for (const refused of [
    'http://shop.example/hooks',
    'https://10.0.0.5/hooks',
    'https://[::1]/hooks',
    'https://ana:secret@shop.example/',
    'http://10.0.0.5:8081/hooks',
    'http://app.internal:8080/',
  ]) {
    const answer = await admin.request('POST', '/webhooks', { url: refused, events: ['notification.read'] })
    t.match(answer, { status: 422, body: { code: 'WEBHOOK_URL_REFUSED' } }, refused)
    t.equal((await admin.request('PATCH', `/webhooks/${made.body.id}`, { url: refused })).status, 422)
  }
  for (const body of [
    { url: URL_OF_SHOP, events: [] },
    { url: URL_OF_SHOP, events: ['post.liked'] },
    { url: 'ftp://shop.example', events: ['notification.read'] },
    { url: URL_OF_SHOP },
  ])
    t.equal((await admin.request('POST', '/webhooks', body)).status, 400, JSON.stringify(body))
  t.equal((await admin.request('DELETE', `/webhooks/${made.body.id}`)).status, 204)
  for (const [method, path] of [
    ['GET', ''],
    ['PATCH', ''],
    ['DELETE', ''],
    ['POST', '/rotate-secret'],
    ['POST', '/test'],
    ['GET', '/deliveries'],
    ['POST', '/deliveries/1/retry'],
  ] as const)
    t.match(
      await admin.request(method, `/webhooks/${made.body.id}${path}`, method === 'PATCH' ? {} : undefined),
      { status: 404, body: { code: 'WEBHOOK_NOT_FOUND' } },
      `${method} ${path}`,
    )
})
