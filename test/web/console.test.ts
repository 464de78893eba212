import { readdirSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { test } from 'tap'
import { buildIfStale, DIST } from '../../src/api/web-build.ts'
import { startProcessHeartbeat } from '../../src/ops/processes.ts'
import { grantAdmin } from '../../src/social/accounts/admin.ts'
import { PASSWORD, signIn } from '../client.ts'
import { eventually } from '../setup.ts'
import { badgeOf, goOffline, live, signInBy, skip, webSystem } from './browser.ts'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

test('the console loads at most 90 KB of its own, compressed', async (t) => {
  await buildIfStale()
  const own = readdirSync(join(DIST, 'assets')).filter((file) => /^console-.+\.(js|css)$/.test(file))
  const sizes = own.map((file) => gzipSync(readFileSync(join(DIST, 'assets', file))).length)
  const size = sizes.reduce((sum, each) => sum + each, 0)
  t.ok(own.length >= 2 && size <= 90 * 1024, `${size} bytes`)
})

test('an admin sees eight likes on every screen of the console; a user without a role sees who may use it', {
  skip,
}, async (t) => {
  const system = await webSystem(t)
  const heartbeat = startProcessHeartbeat(system.app, 'all')
  t.teardown(() => heartbeat.close())
  await system.as('rita')
  await grantAdmin(system.pool, 'rita')
  const rita = await signIn(system.url, 'rita')

  const { page: other } = await system.window()
  await system.as('ana')
  await signInBy(other, 'ana', PASSWORD)
  await other.goto('/console')
  await other.getByRole('heading', { name: 'The console is for readers, operators and admins' }).waitFor()

  const { page } = await system.window({ theme: 'dark', width: 1280 })
  await signInBy(page, 'rita', PASSWORD)
  await page.goto('/console/experiment')
  await page.getByRole('button', { name: '8 likes' }).click()
  const rows = (table: string) => page.getByRole('region', { name: `${table}: rows` }).locator('tbody tr')
  await eventually(async () => (await rows('social.likes').count()) === 8)
  await eventually(async () => (await rows('notify.windows').count()) === 1)
  await eventually(async () => (await rows('notify.sources').filter({ hasText: 'waiting' }).count()) === 5)
  await eventually(async () => (await rows('notify.sources').filter({ hasText: 'shown' }).count()) === 3)
  // Each table refreshes by itself.
  await eventually(async () => (await rows('notify.notifications').count()) === 1)
  await system.pool.query('update notify.windows set due_at = now()')
  await eventually(async () => (await rows('notify.sources').filter({ hasText: 'shown' }).count()) === 8)
  await page.getByText('Empty.').waitFor()

  const faults = async (what: string) => {
    await page.evaluate(`${axe}; undefined`)
    const found: string[] = await page.evaluate(
      `axe.run({ resultTypes: ['violations'] }).then(({ violations }) => violations.map(({ id, nodes }) => id + ' ' + nodes.map((n) => n.target)))`,
    )
    t.same(found, [], what)
    t.ok(
      await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth),
      `${what} does not scroll sideways`,
    )
  }
  const nav = page.getByRole('navigation', { name: 'Console' })
  const links = await nav.getByRole('link').allTextContents()
  t.ok(links.length >= 15)
  for (const link of links) {
    await nav.getByRole('link', { name: link, exact: true }).click()
    await nav.locator('[aria-current=page]', { hasText: link }).waitFor()
    await page.locator('main h1').waitFor()
    await page.locator('main :is(table, details, form, p)').first().waitFor()
    await faults(link)
  }
  await nav.getByRole('link', { name: 'Overview' }).click()
  await page.getByRole('heading', { name: 'Everything that was committed has been delivered' }).waitFor()

  await nav.getByRole('link', { name: 'Lanes and lag' }).click()
  await page.getByText('Show me the SQL').click()
  const shown = await page.locator('[data-sql="lanes"]').textContent()
  t.equal(shown, (await rita.request('GET', '/admin/sql/lanes')).body, 'the text on the screen is the text that runs')

  await page.setViewportSize({ width: 360, height: 800 })
  await faults('a narrow screen')
  await page.goto('/console/user')
  await page.getByLabel('Username, external id or id').fill('rit')
  await page.getByLabel('Username, external id or id').press('Enter')
  await page.getByText('Show me the SQL').click()
  t.match(await page.locator('[data-sql="users"]').textContent(), 'from social.users')
  await page.getByRole('link', { name: 'rita', exact: true }).click()
  await page.getByText('recounted in one snapshot').waitFor()
  await faults('an inbox on a narrow screen')
  system.noErrors()

  const content = { title: 'News' }
  const { body: news } = await rita.request('POST', '/admin/broadcasts', { name: 'News', content, everyone: true })
  await rita.request('POST', `/admin/broadcasts/${news.id}/send`)
  await eventually(async () => (await rita.get(`/admin/broadcasts/${news.id}`)).state === 'finished')
  await system.pool.query(`update social.sessions set created_at = now() - interval '1 hour'`)
  await page.setViewportSize({ width: 1280, height: 800 })
  await page.goto(`/console/broadcasts/${news.id}`)
  await page.getByRole('button', { name: 'Operate', exact: true }).click()
  await page.getByRole('button', { name: 'Recall from every inbox' }).click()
  const dialog = page.getByRole('dialog', { name: 'Confirm with your password' })
  await dialog.getByLabel('Current password').fill('not mine')
  await dialog.getByRole('button', { name: 'Confirm' }).click()
  await dialog.getByText('The password is wrong.').waitFor()
  await faults('the question for the password')
  await dialog.getByLabel('Current password').fill(PASSWORD)
  await dialog.getByRole('button', { name: 'Confirm' }).click()
  await dialog.waitFor({ state: 'detached' })
  t.equal((await rita.get(`/admin/broadcasts/${news.id}`)).state, 'recalled')

  const template = { name: 'Greeting', title: 'Hello {name}', variables: { name: { type: 'string' } } }
  await rita.request('POST', '/admin/templates', template)
  const { body: draft } = await rita.request('POST', '/admin/broadcasts', { name: 'Draft', content, everyone: true })
  const inBothThemes = async (what: string) => {
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme })
      await faults(`${what}, ${colorScheme}`)
    }
  }
  await page.goto('/console/broadcasts')
  const form = page.getByRole('region', { name: 'New broadcast' })
  await form.getByLabel('Title').waitFor()
  await inBothThemes('the form of a draft with a text')
  await form.getByLabel('Template').selectOption('Greeting')
  await form.getByLabel('Variables, as JSON').waitFor()
  await inBothThemes('the form of a draft with a template')
  await page.goto(`/console/broadcasts/${draft.id}`)
  await page.getByRole('button', { name: 'Edit' }).click()
  await page.getByRole('region', { name: 'Edit the draft' }).waitFor()
  await inBothThemes('the form of a draft that exists')
  await page.goto('/console/settings')
  await page.getByLabel('Memory of its machine, for example 16GB').fill('640GB')
  await page.getByRole('button', { name: 'Advise' }).click()
  await page.getByRole('region', { name: 'Advice: rows' }).getByText('shared_buffers').first().waitFor()
  await inBothThemes('the advice on the database server')
})

test('an operator may resume a broadcast, but neither send nor recall one', { skip }, async (t) => {
  const system = await webSystem(t)
  await system.as('rita')
  await system.as('otto')
  await grantAdmin(system.pool, 'rita')
  await system.pool.query(`update social.users set role = 'operator' where username = 'otto'`)
  const rita = await signIn(system.url, 'rita')
  const { body: news } = await rita.request('POST', '/admin/broadcasts', {
    ...{ name: 'News', content: { title: 'News' }, everyone: true },
  })
  const { page } = await system.window({ width: 1280 })
  await signInBy(page, 'otto', PASSWORD)
  await page.goto(`/console/broadcasts/${news.id}`)
  await page.getByRole('button', { name: 'Operate', exact: true }).click()
  const state = async (name: string) => {
    const button = page.getByRole('button', { name, exact: true })
    return [await button.isDisabled(), await button.getAttribute('title')]
  }
  t.same(await state('Send'), [true, 'Only for admins'])
  await system.pool.query(`update notify.broadcasts set state = 'paused' where id = $1`, [news.id])
  await page.getByRole('button', { name: 'Resume', exact: true }).waitFor()
  t.same(await state('Recall from every inbox'), [true, 'Only for admins'])
  t.same(await state('Resume'), [false, null])
  system.noErrors()
})

test('an admin makes, tries, schedules and recalls a broadcast, and the pages of its recipients follow', {
  skip,
}, async (t) => {
  const system = await webSystem(t)
  const [rita, ana, ben] = [await system.as('rita'), await system.as('ana'), await system.as('ben')]
  await grantAdmin(system.pool, 'rita')
  const [{ page: anas }, bens, { page }] = [await system.window(), await system.window(), await system.window()]
  await signInBy(anas, 'ana', PASSWORD)
  await signInBy(bens.page, 'ben', PASSWORD)
  await anas.goto('/notifications')
  await bens.page.goto('/notifications')
  await live(bens.page)
  await goOffline(bens)

  await signInBy(page, 'rita', PASSWORD)
  await page.getByRole('button', { name: 'Account' }).click()
  await page.getByRole('menuitem', { name: 'Console' }).click()
  const nav = page.getByRole('navigation', { name: 'Console' })
  const open = (screen: string) => nav.getByRole('link', { name: screen, exact: true }).click()
  const main = page.locator('main')
  await page.getByRole('button', { name: 'Operate' }).click()

  await open('Templates')
  await main.getByRole('link', { name: 'New template' }).click()
  await main.getByLabel('Name', { exact: true }).fill('Maintenance')
  const preview = page.getByRole('region', { name: 'Preview' })
  await preview.getByText('Hello name').first().waitFor()
  await main.getByLabel('Title').fill('Closed on {day}')
  await preview.getByRole('alert').getByText('day').waitFor()
  await main.getByLabel('Variables, as JSON').fill('{"day": {"type": "string", "required": true}}')
  await preview.getByText('Closed on day').first().waitFor()
  await main.getByLabel('Translations, as JSON').fill('{"de": {"title": "Am {day} geschlossen"}}')
  await main.getByRole('button', { name: 'Save' }).click()
  await main.getByRole('link', { name: 'open it' }).click()
  await preview.getByLabel('day (string)').fill('Sunday')
  await preview.getByLabel('As user (id)').fill(ana.id)
  await preview.getByText('Closed on Sunday').first().waitFor()
  await preview.getByLabel('Language').fill('de')
  await preview.getByText('Am Sunday geschlossen').first().waitFor()

  await open('Segments')
  await main.getByLabel('Rule, as JSON').fill(JSON.stringify({ ids: [ana.id, ben.id] }))
  await main.getByRole('button', { name: 'Estimate' }).click()
  await main.getByText('2 users', { exact: true }).waitFor()
  await main.getByLabel('Name').fill('Ana and Ben')
  await main.getByRole('button', { name: 'Save' }).click()
  await main.getByText('Saved.').waitFor()

  await open('Broadcasts')
  await main.getByLabel('Name').fill('Sunday')
  await main.getByLabel('Template').selectOption('Maintenance')
  await main.getByLabel('Variables, as JSON').fill('{"day": "Sunday"}')
  await main.getByLabel('To', { exact: true }).selectOption('Ana and Ben')
  // The clock of the field is the browser's.
  const soon = await page.evaluate(() => {
    const at = new Date(Date.now() + 3000)
    return new Date(at.getTime() - at.getTimezoneOffset() * 60_000).toISOString().slice(0, 19)
  })
  await main.getByLabel('At (empty: when sent)').fill(soon)
  await main.getByRole('button', { name: 'Write draft' }).click()
  await page.getByRole('heading', { name: 'Sunday', exact: true }).waitFor()
  await main.getByRole('button', { name: 'Edit' }).click()
  const edited = page.getByRole('region', { name: 'Edit the draft' })
  // A field leaves out seconds that are zero.
  t.ok(soon.startsWith((await edited.getByLabel('At (empty: when sent)').inputValue()) || 'nothing'))
  t.equal(await edited.getByLabel('To', { exact: true }).locator('option:checked').textContent(), 'Ana and Ben')
  await edited.getByLabel('Name').fill('Sunday, closed')
  await edited.getByLabel('Variables, as JSON').fill('{"day": "Sunday"}')
  await edited.getByRole('button', { name: 'Save draft' }).click()
  await page.getByRole('heading', { name: 'Sunday, closed' }).waitFor()
  await edited.waitFor({ state: 'detached' })
  await main.getByRole('button', { name: 'Dry run' }).click()
  await page.getByRole('region', { name: 'If it were sent now' }).getByText('2 recipients').waitFor()
  t.equal(await badgeOf(anas), 0, 'a dry run notifies nobody')

  await main.getByRole('button', { name: 'Send', exact: true }).click()
  const progress = page.getByRole('region', { name: 'Progress' })
  await progress.getByText('2 of 2', { exact: true }).waitFor()
  await main.getByText('finished', { exact: true }).first().waitFor()
  await eventually(async () => (await badgeOf(anas)) === 1)
  await anas.locator('main').getByText('Closed on Sunday').first().waitFor()
  await eventually(async () => /Acknowledged\s*1/.test(await progress.innerText()))
  t.equal(await badgeOf(bens.page), 0)
  await bens.context.setOffline(false)
  await eventually(async () => (await badgeOf(bens.page)) === 1)
  await bens.page.locator('main').getByText('Closed on Sunday').first().waitFor()
  const recipients = page.getByRole('region', { name: 'Recipients: rows' })
  await eventually(async () => (await recipients.locator('tbody tr').allInnerTexts()).join().includes('ben'))

  await goOffline(bens)
  await main.getByRole('button', { name: 'Recall from every inbox' }).click()
  await main.getByText('recalled', { exact: true }).first().waitFor()
  await eventually(async () => (await badgeOf(anas)) === 0)
  await anas.locator('main').getByText('Closed on Sunday').waitFor({ state: 'detached' })
  t.equal(await badgeOf(bens.page), 1, 'ben is still offline')
  await bens.context.setOffline(false)
  await eventually(async () => (await badgeOf(bens.page)) === 0)
  await bens.page.locator('main').getByText('Closed on Sunday').waitFor({ state: 'detached' })

  await main.getByRole('link', { name: 'who did what' }).click()
  const audit = page.getByRole('region', { name: 'Audit: rows' })
  const actions = async () => (await audit.locator('tbody tr').allInnerTexts()).map((row) => row.split('\t'))
  await eventually(async () => (await actions()).length === 4)
  t.same(
    (await actions()).map(([, actor, action]) => `${actor} ${action}`),
    ['recall', 'send', 'update', 'create'].map((action) => `user:${rita.id} broadcast.${action}`),
  )
  await open('Audit')
  await eventually(async () => {
    const all = (await actions()).map(([, , action]) => action)
    return all.includes('template.create') && all.includes('segment.create')
  })

  await open('Broadcasts')
  await main.getByLabel('Name').fill('A mistake')
  await main.getByLabel('Title').fill('Not meant')
  await main.getByRole('button', { name: 'Write draft' }).click()
  await page.getByRole('heading', { name: 'A mistake' }).waitFor()
  await main.getByRole('button', { name: 'Delete draft' }).click()
  await main.getByRole('link', { name: 'Sunday, closed' }).waitFor()
  t.equal(await main.getByRole('link', { name: 'A mistake' }).count(), 0)
  system.noErrors()
})
