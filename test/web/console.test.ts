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
import { signInBy, skip, webSystem } from './browser.ts'

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
  t.equal(await rows('notify.sources').filter({ hasText: 'shown' }).count(), 3)
  t.equal(await rows('notify.notifications').count(), 1)
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
  await page.goto(`/console/user/${rita.id}`)
  await page.getByText('recounted in one snapshot').waitFor()
  await faults('an inbox on a narrow screen')
  system.noErrors()
})
