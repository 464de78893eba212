import { test } from 'tap'
import { PASSWORD } from '../client.ts'
import { eventually } from '../setup.ts'
import { signInBy, skip, webSystem } from './browser.ts'

test('after a lost answer an edited post can be sent, and the same one is not doubled', { skip }, async (t) => {
  const system = await webSystem(t)
  const ana = await system.as('ana')
  const { page } = await system.window()
  await signInBy(page, 'ana', PASSWORD)
  const loseAnswer = () =>
    page.route(
      '**/posts',
      async (route) => {
        await route.fetch()
        await route.abort()
      },
      { times: 1 },
    )
  const field = page.getByRole('textbox', { name: 'New post' })
  const send = async () => page.getByRole('button', { name: 'Post', exact: true }).click()
  const lost = page.getByRole('form', { name: 'New post' }).getByRole('alert')
  await loseAnswer()
  await field.fill('Good morning')
  await send()
  await lost.waitFor()
  await field.fill('Good evening')
  await send()
  await page.getByRole('article').getByText('Good evening').waitFor()

  await loseAnswer()
  await field.fill('Good night')
  await send()
  await lost.waitFor()
  await send()
  await page.getByRole('article').getByText('Good night').waitFor()
  const { items } = await ana.get('/posts?scope=all')
  t.same(
    items.map(({ body }: { body: string }) => body),
    ['Good night', 'Good evening', 'Good morning'],
  )
})

test('a failed read of settings is shown with a retry, and changes made during a save stay', { skip }, async (t) => {
  const system = await webSystem(t)
  const ana = await system.as('ana')
  const { context, page } = await system.window()
  await signInBy(page, 'ana', PASSWORD)
  const refuse = { status: 400, json: { code: 'BAD_TOKEN', title: 'A title' } }
  for (const [section, path, shown] of [
    ['account', '**/auth/me', 'Username'],
    ['quiet', '**/notifications/preferences', 'Do not disturb'],
    ['notifications', '**/notifications/preferences', 'People I do not follow'],
  ] as const) {
    await context.route(path, (route) => route.fulfill(refuse))
    await page.goto(`/settings/${section}`)
    await page.getByRole('alert').getByText('The link is invalid or has expired.').waitFor()
    await context.unroute(path)
    await page.getByRole('button', { name: 'Try again' }).click()
    await page.getByText(shown).first().waitFor()
  }

  let release = () => {}
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  let puts = 0
  await context.route('**/notifications/preferences', async (route) => {
    if (route.request().method() === 'PUT' && ++puts === 1) await released
    await route.continue()
  })
  await page.getByRole('switch', { name: 'All notifications: Email' }).click()
  await page.getByRole('button', { name: 'Save' }).click()
  await eventually(() => puts === 1)
  await page.getByRole('switch', { name: 'All notifications: Push' }).click()
  release()
  await eventually(async () => (await ana.get('/notifications/preferences')).preferences.channels?.email === false)
  await page.getByRole('button', { name: 'Save' }).click()
  await eventually(async () => (await ana.get('/notifications/preferences')).preferences.channels?.webPush === false)
  t.match((await ana.get('/notifications/preferences')).preferences.channels, { email: false, webPush: false })
})
