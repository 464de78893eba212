import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Page } from 'playwright-core'
import t, { type Test } from 'tap'
import type { TestClient } from '../client.ts'
import { eventually, setup } from '../setup.ts'
import { needsBrowser, openBrowser, serveApp } from './browser.ts'
import { snippets } from './snippets.ts'

const folder = fileURLToPath(new URL('../../client/example', import.meta.url))
const axe = await readFile(new URL(import.meta.resolve('axe-core/axe.min.js')), 'utf8')

t.test('the inbox works in an app in a real browser', needsBrowser, async (t) => {
  const app = await serveApp(t, folder)
  const system = await setup(t, { worker: true, push: true, windowSeconds: 0, env: { ALLOWED_ORIGINS: app } })
  const browser = await openBrowser(t)
  const [ben, cleo] = [await system.as('ben'), await system.as('cleo')]
  const addressFor = (person: TestClient, language = 'en') =>
    `${app}/?${new URLSearchParams({ url: system.url, token: person.accessToken, userId: person.id, language })}`

  const start = async (t: Test, name: string, options: Parameters<typeof browser.newContext>[0] = {}) => {
    const person = await system.as(name)
    const context = await browser.newContext({ viewport: { width: 900, height: 700 }, ...options })
    t.teardown(() => context.close())
    const faults: string[] = []
    const sockets = new Set<unknown>()
    context.on('page', (page) => {
      page.on('pageerror', (error) => faults.push(String(error)))
      page.on(
        'console',
        (message) =>
          message.type() === 'error' && !/ERR_|Failed to load/.test(message.text()) && faults.push(message.text()),
      )
      page.on('websocket', (socket) => {
        sockets.add(socket)
        socket.on('close', () => sockets.delete(socket))
      })
    })
    const open = async (language?: string) => {
      const page = await context.newPage()
      page.setDefaultTimeout(15_000)
      await page.goto(addressFor(person, language))
      await page.locator('[data-status=live]').waitFor()
      return page
    }
    return { person, context, sockets, faults, open, post: await person.post('hello') }
  }

  await t.test('a like appears as toast, row, badge and title in all tabs over one socket', async (t) => {
    const { person, sockets, faults, open, post } = await start(t, 'ana')
    const [first, second] = [await open(), await open()]
    await eventually(() => sockets.size === 1)
    await second.bringToFront()
    await ben.like(post.id)
    for (const page of [first, second]) {
      await page.getByRole('button', { name: 'Notifications, 1 unread' }).waitFor()
      await eventually(async () => (await page.title()) === '(1) An app')
    }
    const toast = second.locator('[data-rp-part=toast]')
    await toast.getByText('ben liked your post').waitFor()
    await cleo.like(post.id)
    await toast.getByText('cleo and ben liked your post').waitFor()
    t.equal(await toast.count(), 1)
    await eventually(async () => (await second.locator('[data-rp-part=toaster] [role=status]').textContent()) !== '')

    await toast.getByRole('link').click()
    await toast.waitFor({ state: 'detached' })
    await eventually(async () => (await second.getByLabel('Page').textContent()) === `/posts/${post.id}`)
    await first.getByRole('button', { name: 'Notifications, none unread' }).waitFor()
    await eventually(async () => (await person.get('/notifications/unread-count')).unreadCount === 0)
    await ben.unlike(post.id)
    await cleo.unlike(post.id)
    await first.getByRole('button', { name: /Notifications/ }).click()
    await first.getByText('Nothing new.').waitFor()
    t.same(faults, [])
    t.equal(sockets.size, 1)
  })

  await t.test('the keyboard alone opens, navigates, archives and closes', async (t) => {
    const { person, faults, open, post } = await start(t, 'dora')
    const page = await open()
    await ben.like(post.id)
    await ben.comment(post.id, 'nice')
    const bell = page.getByRole('button', { name: 'Notifications, 2 unread' })
    await bell.waitFor()
    await bell.focus()
    await page.keyboard.press('Enter')
    const list = page.getByRole('region', { name: 'Notifications' }).getByRole('listitem')
    await list.first().waitFor()
    await page.getByRole('tab', { name: 'All' }).focus()
    await page.keyboard.press('ArrowRight')
    await page.getByRole('tab', { name: 'Unread 2', selected: true }).waitFor()
    await page.keyboard.press('ArrowLeft')
    await list.first().getByRole('link').focus()
    await page.keyboard.press('j')
    t.match(await page.evaluate(() => document.activeElement?.textContent), /ben liked your post/)
    await page.keyboard.press('e')
    await eventually(async () => (await list.count()) === 1)
    t.match(await page.evaluate(() => document.activeElement?.textContent), /ben commented/)
    await page.keyboard.press('u')
    await eventually(async () => (await person.get('/notifications/unread-count')).unreadCount === 0)
    await page.keyboard.press('Escape')
    await eventually(() => page.evaluate(() => document.activeElement?.getAttribute('data-rp-part') === 'bell'))
    t.equal(await page.getByRole('region', { name: 'Notifications' }).getByRole('listitem').count(), 0)
    t.same(faults, [])
  })

  await t.test('keys work on requests, keep the focus in the unread list, and leave fields alone', async (t) => {
    const { person, faults, open, post } = await start(t, 'eva')
    await ben.follow(person.id)
    await ben.like(post.id)
    await ben.comment(post.id, 'nice')
    await eventually(async () => (await person.get('/notifications')).items.length === 3)
    await person.request('PUT', '/notifications/preferences', { policy: { strangers: 'filter' } })
    await cleo.like(post.id)
    await cleo.comment(post.id, 'who are you?')
    const filtered = async () => (await person.get('/notifications?filter=filtered')).items.length
    await eventually(async () => (await filtered()) === 2)
    const page = await open()
    await page.getByRole('button', { name: /Notifications/ }).press('Enter')
    const list = page.getByRole('region', { name: 'Notifications' }).getByRole('listitem')
    const focused = () => page.evaluate(() => document.activeElement?.textContent)

    await page.getByRole('tab', { name: 'Unread' }).click()
    await eventually(async () => (await list.count()) === 3)
    await list.first().getByRole('link').focus()
    for (const left of [2, 1]) {
      await page.keyboard.press('u')
      await eventually(async () => (await list.count()) === left && /ben/.test((await focused()) ?? ''))
    }
    await list.evaluate((row) => {
      row.append(document.createElement('textarea'))
      row.querySelector('textarea')?.focus()
    })
    await page.keyboard.press('#')
    t.equal(await list.locator('textarea').inputValue(), '#')

    await page.getByRole('tab', { name: 'Requests' }).click()
    await eventually(async () => (await list.count()) === 2)
    await list.first().getByRole('link').focus()
    await page.keyboard.press('#')
    await eventually(async () => (await filtered()) === 1 && /cleo/.test((await focused()) ?? ''))
    await page.keyboard.press('e')
    await eventually(async () => (await filtered()) === 0)
    t.equal((await person.get('/notifications/unread-count')).unreadCount, 1)
    t.same(faults, [])
  })

  await t.test(
    'actions made offline are sent later, and a restart without network shows the stored inbox',
    async (t) => {
      const { person, context, open, post } = await start(t, 'emil')
      const page = await open()
      await ben.like(post.id)
      await page.getByRole('button', { name: 'Notifications, 1 unread' }).click()
      await eventually(async () => (await person.get('/notifications/unread-count')).unseenCount === 0, 10)
      await context.setOffline(true)
      await page
        .getByText(/^Offline/)
        .first()
        .waitFor()
      await page.getByRole('button', { name: 'Mark all as read' }).click()
      await page
        .getByText(/1 change is saved here/)
        .first()
        .waitFor()
      await page.getByRole('button', { name: 'Notifications, none unread' }).waitFor()
      t.equal((await person.get('/notifications/unread-count')).unreadCount, 1)
      await cleo.comment(post.id, 'meanwhile')
      await context.setOffline(false)
      await page.getByRole('button', { name: 'Notifications, 1 unread' }).waitFor()
      await eventually(async () => (await person.get('/notifications/unread-count')).unreadCount === 1)
      await eventually(async () => (await page.locator('[data-rp-part=item][data-unread]').count()) === 1)

      await page.evaluate(() => new Promise((resolve) => setTimeout(resolve, 500)))
      await context.route(`${system.url}/**`, (route) => route.abort())
      await context.routeWebSocket(/./, (socket) => socket.close())
      await page.reload()
      await page.getByRole('button', { name: 'Notifications, 1 unread' }).click()
      await page.getByText('cleo commented on your post').waitFor()
    },
  )

  await t.test('the list does not move under the pointer, and scrolling loads older notifications', async (t) => {
    const { person, open, post } = await start(t, 'gina')
    for (let n = 0; n < 35; n++) await ben.like((await person.post(`number ${n}`)).id)
    const page = await open()
    await page.getByRole('button', { name: 'Notifications, 35 unread' }).click()
    const list = page.locator('[data-rp-part=panel] [data-rp-part=item]')
    await list.first().hover()
    await ben.comment(post.id, 'nice')
    await page.getByRole('button', { name: '1 new' }).waitFor()
    t.notMatch(await list.first().textContent(), /commented/)
    await page.getByRole('button', { name: '1 new' }).click()
    await list.first().getByText('ben commented on your post').waitFor()
    await page
      .locator('[data-rp-part=panel] [data-scroll]')
      .evaluate((element) => element.scrollTo(0, element.scrollHeight))
    await eventually(async () => (await list.count()) === 36)
    await page.mouse.move(10, 600)
    await page.getByRole('button', { name: 'Mark all as read' }).click()
    await eventually(async () => (await page.locator('[data-rp-part=panel] [data-unread]').count()) === 0)
    t.equal(await list.count(), 36)
  })

  await t.test('axe finds no faults in light and dark themes, both directions, narrow and wide', async (t) => {
    for (const [index, options] of [
      { colorScheme: 'light', language: 'en' },
      { colorScheme: 'dark', language: 'de' },
      { colorScheme: 'light', language: 'ar', viewport: { width: 320, height: 640 } },
    ].entries()) {
      const { language, ...view } = options as { language: string; colorScheme: 'light' | 'dark' }
      const { open, post } = await start(t, `hans${index}`, { ...view, bypassCSP: true, reducedMotion: 'reduce' })
      const page = await open(language)
      await page.bringToFront()
      await ben.like(post.id)
      await ben.comment(post.id, 'nice')
      await page.locator('[data-rp-part=toast]').nth(1).waitFor()
      const bell = page.locator('[data-rp-part=bell]')
      await bell.click()
      await page.locator('[data-rp-part=panel] [data-rp-part=item]').nth(1).waitFor()
      await look(page, `${index}-list`)
      t.same(await faultsOf(page), [], `${JSON.stringify(options)} list`)
      await page.locator('[data-rp-part=panel] [data-rp-part=item]').first().hover()
      await page.locator('[data-rp-part=panel] [data-rp-part=actions] button').nth(2).click()
      await page.locator('[data-rp-part=why] li').first().waitFor()
      t.same(await faultsOf(page), [], `${JSON.stringify(options)} why`)
      await page.locator('[data-rp-part=header] button').last().click()
      await page.locator('[data-rp-part=matrix]').waitFor()
      await page.locator('[data-rp-part=schedule] > fieldset > [data-rp-part=button]').first().click()
      await page.locator('[data-rp-part=schedule] fieldset fieldset').waitFor()
      await look(page, `${index}-settings`)
      t.same(await faultsOf(page), [], `${JSON.stringify(options)} settings`)
      t.ok(
        await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth),
        'nothing is wider than the window',
      )
    }
  })
})

t.test('the pages in docs/client.md work as written', needsBrowser, async (t) => {
  const folder = t.testdir()
  const auth = `const { url, userId, token } = Object.fromEntries(new URLSearchParams(location.search))
    export { url, userId }
    export const getToken = async () => token`
  for (const [name, code] of await snippets()) await writeFile(join(folder, name), name === 'auth.ts' ? auth : code)
  for (const [page, script] of [
    ['react.html', 'main.tsx'],
    ['plain.html', 'plain.js'],
  ])
    await writeFile(
      join(folder, page ?? ''),
      `<!doctype html><html lang="en"><title>App</title><body><div id="root"></div><script type="module" src="./${script}"></script></body></html>`,
    )
  const app = await serveApp(t, folder, ['react.html', 'plain.html'])
  const system = await setup(t, { worker: true, push: true, windowSeconds: 0, env: { ALLOWED_ORIGINS: app } })
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  const browser = await openBrowser(t)
  const query = new URLSearchParams({ url: system.url, token: ana.accessToken, userId: ana.id })
  const [react, plain] = [await browser.newPage(), await browser.newPage()]
  await react.goto(`${app}/react.html?${query}`)
  await plain.goto(`${app}/plain.html?${query}`)
  await plain.getByText('Notifications: 0').waitFor()
  await ben.follow(ana.id)
  await plain.getByText('Notifications: 1').waitFor()
  await react.getByRole('button', { name: 'Notifications, 1 unread' }).click()
  await react.getByRole('listitem').getByText('ben followed you').waitFor()
  await eventually(async () => (await plain.title()) === '(1) App')
  await plain.getByText('ben followed you').click()
  await react.getByRole('button', { name: 'Notifications, none unread' }).waitFor()
})

/** What axe finds on the page. */
async function faultsOf(page: Page): Promise<string[]> {
  await page.evaluate(axe)
  return page.evaluate(async () => {
    // It was put into the page just now.
    const { violations } = await (
      globalThis as unknown as { axe: { run(): Promise<{ violations: Violation[] }> } }
    ).axe.run()
    type Violation = { id: string; nodes: { html: string; failureSummary: string }[] }
    return violations.flatMap(({ id, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`),
    )
  })
}

/** For a person to look at: TEST_SHOTS names a folder. */
async function look(page: Page, name: string): Promise<void> {
  if (process.env.TEST_SHOTS) await page.screenshot({ path: `${process.env.TEST_SHOTS}/${name}.png` })
}
