import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import type { Page } from 'playwright-core'
import { test } from 'tap'
import { PASSWORD } from '../client.ts'
import { skip, webSystem } from './browser.ts'

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

test('main screens fit 320 pixels and have no accessibility faults, in both themes and directions', {
  skip,
}, async (t) => {
  const system = await webSystem(t)
  const ana = await system.as('ana')
  const ben = await system.as('ben')
  const post = await ana.post('Good morning @ben')
  await ben.like(post.id)
  await ben.comment(post.id, 'Good morning')
  await ben.follow(ana.id)
  const screens = [
    '/',
    `/posts/${post.id}`,
    '/notifications',
    `/users/${ben.id}`,
    '/search?q=be',
    '/settings/notifications',
  ]
  screens.push('/settings/quiet', '/settings/account')
  const looks = [
    { theme: 'light', language: 'en', width: 320 },
    { theme: 'dark', language: 'ar', width: 1280 },
  ] as const
  for (const look of looks) {
    const { page } = await system.window(look)
    await page.goto('/signin')
    await page.locator('input[name=login]').waitFor()
    t.same(await faultsOf(page), [], `/signin, ${look.theme}, ${look.language}`)
    await page.locator('input[name=login]').fill('ana')
    await page.locator('input[name=password]').fill(PASSWORD)
    await page.locator('input[name=password]').press('Enter')
    await page.locator('article').first().waitFor()
    for (const path of screens) {
      await page.goto(path)
      await page.locator('main :is(article, li, form, table, section)').first().waitFor()
      t.same(await faultsOf(page), [], `${path}, ${look.theme}, ${look.language}`)
      t.ok(
        await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth),
        `${path} does not scroll sideways`,
      )
    }
    await page.goto('/')
    await page.locator('[data-unread][popovertarget]').click()
    await page.locator('[popover]:popover-open li').first().waitFor()
    t.same(await faultsOf(page), [], `the bell, ${look.theme}, ${look.language}`)
  }
  system.noErrors()
})

test('the gallery has no accessibility faults, in both themes and directions', { skip }, async (t) => {
  const system = await webSystem(t)
  for (const language of ['en', 'ar']) {
    const { page } = await system.window({ language })
    await page.goto('/gallery')
    if (language === 'en') await page.getByTitle('Catching up (12)').waitFor({ state: 'attached' })
    for (const theme of ['light', 'dark'] as const) {
      await page.emulateMedia({ colorScheme: theme })
      await page.locator('[data-tone]').nth(6).waitFor()
      await page.locator('[data-toast]').first().waitFor()
      t.same(await faultsOf(page), [], `${theme}, ${language}`)
      const overlays = page.locator('[data-overlays] button')
      for (let place = 0; place < 4; place += 1) {
        await overlays.nth(place).click()
        const overlay = page.locator('dialog, [role=menu]:popover-open')
        await overlay.waitFor()
        t.same(await faultsOf(page), [], `overlay ${place}, ${theme}, ${language}`)
        await page.keyboard.press('Escape')
        await overlay.waitFor({ state: place < 3 ? 'detached' : 'hidden' })
      }
    }
  }
  system.noErrors()
})

type Violation = { id: string; nodes: { target: unknown; failureSummary?: string }[] }

async function faultsOf(page: Page): Promise<string[]> {
  await page.evaluate(`${axe}; undefined`)
  const violations: Violation[] = await page.evaluate(
    `axe.run({ resultTypes: ['violations'] }).then(({ violations }) => violations)`,
  )
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id} ${target} ${failureSummary}`),
  )
}
