import t, { test } from 'tap'
import { grantAdmin } from '../../../src/social/accounts/admin.ts'
import { signIn } from '../../client.ts'
import { setup } from '../../setup.ts'

const system = await setup(t)
const { url, pool } = system
await system.as('boss')
await grantAdmin(pool, 'boss')
const root = await signIn(url, 'boss')
const ana = await system.as('ana')

const INVOICE = {
  name: 'Invoice',
  type: 'shop.invoice',
  title: 'Invoice {number}',
  body: '{items, plural, one {# item} other {# items}} until {due, date, medium}',
  url: '/invoices/{number}',
  variables: {
    number: { type: 'string', required: true },
    items: { type: 'number', required: false, default: 2 },
    due: { type: 'date' },
  },
  translations: {
    de: {
      title: 'Rechnung {number}',
      body: '{items, plural, one {# Artikel} other {# Artikel}} bis {due, date, medium}',
    },
  },
}

test('a template is checked, versioned, listed and deleted; an Idempotency-Key creates it once', async (t) => {
  const key = { 'idempotency-key': 'one' }
  const created = await root.request('POST', '/admin/templates', INVOICE, key)
  t.match(created, { status: 201, body: { ...INVOICE, version: 1 } })
  const again = await root.request('POST', '/admin/templates', INVOICE, key)
  t.same(again.body, created.body)
  t.match(await root.request('POST', '/admin/templates', INVOICE), { status: 409, body: { code: 'NAME_TAKEN' } })
  const path = `/admin/templates/${created.body.id}`
  t.match(await root.request('PATCH', path, { title: 'Your invoice {number}' }), {
    status: 200,
    body: { version: 2, title: /^Your/ },
  })
  t.match(await root.get(path), { version: 2, body: INVOICE.body })
  const { rows } = await pool.query(
    'select version, title from notify.template_versions where template_id = $1 order by 1',
    [created.body.id],
  )
  t.same(rows, [
    { version: 1, title: INVOICE.title },
    { version: 2, title: 'Your invoice {number}' },
  ])
  t.match((await root.get('/admin/templates')).items, [{ id: created.body.id, version: 2 }])
  t.equal((await root.request('DELETE', path)).status, 204)
  t.match(await root.request('GET', path), { status: 404, body: { code: 'TEMPLATE_NOT_FOUND' } })
  t.equal((await root.request('POST', '/admin/templates', INVOICE)).status, 201, 'the name is free again')
})

test('an Idempotency-Key repeats the answer of a call that only reads, whatever has changed since', async (t) => {
  const { body } = await root.request('POST', '/admin/templates', { name: 'Short', title: 'Hello' })
  const preview = (asked: object) =>
    root.request('POST', `/admin/templates/${body.id}/preview`, asked, { 'idempotency-key': 'preview' })
  const first = await preview({})
  t.equal(first.status, 200)
  await root.request('DELETE', `/admin/templates/${body.id}`)
  const again = await preview({})
  t.same([again.status, again.body], [200, first.body])
  t.equal(again.headers.get('idempotent-replayed'), 'true')
  t.match(await preview({ locale: 'de' }), { status: 422, body: { code: 'IDEMPOTENCY_KEY_REUSED' } })
})

test('saving a template rejects everything that would fail when it is used', async (t) => {
  const wrong: [change: object, fault: RegExp][] = [
    [{ title: 'Invoice {nr}' }, /title: \{nr\} is not among the variables/],
    [{ title: 'Invoice {number' }, /title: /],
    [{ url: '/invoices/{nr}' }, /url: \{nr\}/],
    [{ url: 'javascript:alert(1)' }, /url: a link begins with/],
    [{ body: '{items, plural, one {# item}}' }, /body: /],
    [{ body: '{number, plural, other {#}}' }, /number\} is used as a number and is a string/],
    [{ body: '{items, date}' }, /items\} is used as a date and is a number/],
    [{ body: '{items, select, other {{nr}}}' }, /\{nr\} is not among/],
    [{ translations: { de: { title: 'Rechnung {nr}', body: 'x' } } }, /translations\/de\/title: \{nr\}/],
    [{ translations: { de: { title: 'Rechnung' } } }, /translations\/de\/body: the translation is missing/],
    [{ body: null, translations: { de: { title: 'Rechnung', body: 'x' } } }, /the template has no body/],
    [
      { variables: { ...INVOICE.variables, items: { type: 'number', required: false } } },
      /not required needs a default/,
    ],
    [{ variables: { ...INVOICE.variables, items: { type: 'number', default: 'two' } } }, /the default is not a number/],
    [{ variables: { number: { type: 'string' } } }, /body: \{items\} is not among/],
    [{ title: '{items, select, 7 {x} other {}}' }, /title: nothing is left of it/],
  ]
  for (const [change, fault] of wrong) {
    const answer = await root.request('POST', '/admin/templates', { ...INVOICE, name: 'Wrong', ...change })
    t.match(answer, { status: 422, body: { code: 'BAD_TEMPLATE', detail: fault } }, JSON.stringify(change))
  }
  for (const change of [{ type: 'post.liked' }, { translations: { 'de-x': { title: 'a', body: 'b' } } }])
    t.match(await root.request('POST', '/admin/templates', { ...INVOICE, name: 'Wrong', ...change }), { status: 400 })
  t.same((await pool.query(`select from notify.templates where name = 'Wrong'`)).rowCount, 0)
  const { id } = (await root.get('/admin/templates')).items[0]
  t.match(await root.request('PATCH', `/admin/templates/${id}`, { variables: {} }), { status: 422 })
})

test('a preview shows each channel in the language of the user, with the decisions of that user', async (t) => {
  const { id } = (await root.get('/admin/templates')).items[0]
  const variables = { number: 'A <7>', due: '2026-01-31T00:30:00Z' }
  const preview = (body: object) => root.request('POST', `/admin/templates/${id}/preview`, body)
  const english = await preview({ variables })
  t.match(english, {
    status: 200,
    body: { locale: null, inApp: { title: 'Invoice A <7>', body: '2 items until Jan 31, 2026', silent: false } },
  })
  await ana.request('PATCH', '/auth/me', { locale: 'de-AT' })
  const dnd = { enabled: true, timeZone: 'UTC', windows: [{ days: [1, 2, 3, 4, 5, 6, 7], from: '00:00', to: '00:00' }] }
  await ana.request('PUT', '/notifications/preferences', { channels: { email: false }, dnd })
  const { body } = await preview({ variables: { ...variables, items: 1 }, userId: ana.id })
  t.match(body, {
    locale: 'de-AT',
    inApp: { type: 'shop.invoice', title: 'Rechnung A <7>', url: '/invoices/A%20%3C7%3E', silent: true },
    email: { subject: 'Rechnung A <7>', text: /1 Artikel bis 31. Jan. 2026/, html: /Rechnung A &#60;7&#62;/ },
    push: { title: 'Rechnung A <7>', unreadCount: 1 },
    decisions: [
      { channel: 'inApp', decision: 'allow', decidedBy: 'dnd', reachable: true },
      { channel: 'email', decision: 'suppress', decidedBy: 'channelPreference', reachable: false },
      { channel: 'webPush', decision: 'defer', decidedBy: 'dnd', reachable: false },
    ],
  })
  t.match((await preview({ variables, userId: ana.id, locale: 'fr' })).body, { inApp: { title: 'Invoice A <7>' } })
  t.match(await preview({}), { status: 400, body: { errors: [{ pointer: /^.variables.(number|due)$/ }] } })
  t.match(await preview({ variables: { ...variables, items: 'two' } }), {
    status: 400,
    body: { errors: [{ pointer: '/variables/items' }] },
  })
  t.match(await preview({ variables: { ...variables, due: '2026-02-30' } }), {
    status: 400,
    body: { errors: [{ pointer: '/variables/due' }] },
  })
  t.match(await preview({ variables: { ...variables, other: 1 } }), {
    status: 400,
    body: { errors: [{ pointer: '/variables/other' }] },
  })
  await pool.query(`update social.users set external_id = 'ana' where id = $1`, [ana.id])
  t.match((await preview({ variables, externalId: 'ana' })).body, { locale: 'de-AT' })
  t.match(await preview({ variables, externalId: 'nobody' }), { status: 404, body: { code: 'USER_NOT_FOUND' } })
  t.match(await preview({ variables, userId: '999999' }), { status: 404, body: { code: 'USER_NOT_FOUND' } })

  const { name: _, ...text } = INVOICE
  const unsaved = (template: object) =>
    root.request('POST', '/admin/templates/preview', { template, variables, userId: ana.id })
  t.match(await unsaved({ ...text, title: 'Draft {number}', translations: {} }), {
    status: 200,
    body: { locale: 'de-AT', inApp: { type: 'shop.invoice', title: 'Draft A <7>' }, push: { title: 'Draft A <7>' } },
  })
  t.match(await unsaved({ ...text, title: 'Draft {nothing}' }), { status: 422, body: { code: 'BAD_TEMPLATE' } })
  t.match(await unsaved({ ...text, type: 'post.liked' }), { status: 400, body: { errors: [{ pointer: '/type' }] } })
  t.equal((await root.get(`/admin/templates/${id}`)).title, INVOICE.title, 'nothing is saved')
  t.same((await ana.get('/notifications')).items, [], 'nothing is sent')
})
