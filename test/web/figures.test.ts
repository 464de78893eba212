import { readFile, writeFile } from 'node:fs/promises'
import { cpus, loadavg } from 'node:os'
import { join } from 'node:path'
import type { Page } from 'playwright-core'
import { type Test, test } from 'tap'
import { budgets, sizeOf } from '../client/size-of.ts'
import { PASSWORD, type TestClient } from '../client.ts'
import { eventually } from '../setup.ts'
import { badgeOf, skip as noBrowser, signInBy, type WebSystem, webSystem } from './browser.ts'
import { firstRoute, pause, renderLikes } from './measure.ts'

/** `npm run figures`: measures what docs/client.md promises in a browser, and writes the table there. */
const PAGE = join(import.meta.dirname, '../../docs/client.md')
const LIKES = 50
const skip = process.env.FIGURES === 'true' ? noBrowser : 'npm run figures'

type Row = [figure: string, target: string, measured: string]

test('creates the figures of docs/client.md', { skip }, async (t) => {
  const system = await webSystem(t, { windowSeconds: 0 })
  const rows: Row[] = [
    ...(await sizes(t)),
    ...(await traffic(t, system)),
    ...(await latencies(system)),
    ...(await tabs(t, system)),
    ...(await thousandLikes(t, system)),
  ]
  const [cpu] = cpus()
  const [load = 0] = loadavg()
  const table = [
    `Measured by \`npm run figures\` with client, server, PostgreSQL and Chromium on ${cpus().length} cores (${cpu?.model.trim()}) at a`,
    `load average of ${load.toFixed(0)}. Times grow with the load, sizes and counts do not.`,
    '',
    '| | target | measured |',
    '|---|---|---|',
    ...rows.map((row) => `| ${row.join(' | ')} |`),
  ].join('\n')
  const page = await readFile(PAGE, 'utf8')
  await writeFile(PAGE, page.replace(/(<!-- figures -->\n)[\s\S]*?(<!-- end of figures -->)/, `$1\n${table}\n\n$2`))
})

async function sizes(t: Test): Promise<Row[]> {
  const folder = t.testdir()
  const rows: Row[] = []
  for (const [name, { imports, limit }] of Object.entries(await budgets()))
    rows.push([`${name}, gzipped`, `≤ ${limit} KB`, `${(await sizeOf(folder, imports)).toFixed(1)} KB`])
  const { scripts, styles } = await firstRoute()
  const kib = (octets: number) => `${Math.ceil(octets / 1024)} KiB`
  rows.push(["the app's first page, scripts", '≤ 160 KiB', kib(scripts)])
  rows.push(["the app's first page, styles", '≤ 12 KiB', kib(styles)])
  return rows
}

/** Requests and frames, on a page that fetches nothing by itself. */
async function traffic(t: Test, system: WebSystem): Promise<Row[]> {
  const [ana, ben] = [await system.as('ana'), await system.as('ben')]
  const { context, page } = await system.window()
  await signInBy(page, 'ana', PASSWORD)
  const frames: string[] = []
  page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => frames.push(String(payload))))
  await page.goto('/settings/look')
  await page.getByText('Live').waitFor()
  await eventually(() => frames.some((frame) => frame.includes('synced')))
  await page.waitForLoadState('networkidle')
  const asked: string[] = []
  page.on('request', (request) => request.resourceType() === 'fetch' && asked.push(request.url()))
  await ben.follow(ana.id)
  await eventually(async () => (await badgeOf(page)) === 1)
  const perNotification = asked.length
  await context.setOffline(true)
  await page
    .getByText(/^Offline/)
    .first()
    .waitFor()
  frames.length = 0
  await context.setOffline(false)
  await eventually(() => frames.some((frame) => frame.includes('synced')))
  const afterBreak = asked.length - perNotification
  const octets = frames.reduce((sum, frame) => sum + frame.length, 0)
  t.same([perNotification, afterBreak, frames.length], [0, 0, 2], `${asked} ${frames}`)
  return [
    ['HTTP requests for an incoming notification', '0', `${perNotification}`],
    [
      'after a break in which nothing was missed',
      '0 requests, 2 frames, < 400 octets',
      `${afterBreak} requests, ${frames.length} frames, ${octets} octets`,
    ],
  ]
}

/** Milliseconds from one device to the other, measured on the pages. */
async function latencies(system: WebSystem): Promise<Row[]> {
  const [cleo] = [await system.as('cleo'), await system.as('dora')]
  const posts = await postsOf(cleo, LIKES)
  const { page: from } = await system.window()
  await signInBy(from, 'dora', PASSWORD)
  await from.setViewportSize({ width: 1280, height: 20_000 })
  await from.goto(`/users/${cleo.id}`)
  await from
    .locator('[data-post]')
    .nth(LIKES - 1)
    .waitFor()
  const { page } = await system.window()
  await signInBy(page, 'cleo', PASSWORD)
  await page.goto('/notifications')
  await page.getByText('Nothing new').waitFor()
  await page.mouse.move(1, 1)
  await noteChanges(page)
  const took: number[] = []
  for (const [place, id] of posts.entries()) {
    const sentAt: number = await from
      .locator(`[data-post="${id}"] button[aria-pressed]`)
      .first()
      .evaluate((button: HTMLElement) => {
        const at = performance.timeOrigin + performance.now()
        button.click()
        return at
      })
    const arrived = await eventually(async () =>
      (await changesOf(page)).find(({ badge, rows }) => badge > place && rows > place),
    )
    took.push(arrived.at - sentAt)
  }
  const reads = await page.evaluate(readByClick, 20)
  const paints: number[] = []
  for (let round = 0; round < 5; round += 1) paints.push(await firstPaint(page))
  return [
    [
      'like on one device → badge and row on another',
      'p50 ≤ 60 ms, p99 ≤ 250 ms',
      `p50 ${ms(quantile(took, 0.5))}, p99 ${ms(quantile(took, 0.99))} (${LIKES} likes)`,
    ],
    ['tap on “read” → row', '≤ 16 ms', `p50 ${ms(quantile(reads, 0.5))}`],
    ['script start → stored inbox', '≤ 50 ms', `p50 ${ms(quantile(paints, 0.5))}`],
  ]
}

/** In the page: clicks and waits, row by row. */
async function readByClick(count: number): Promise<number[]> {
  const took: number[] = []
  for (let place = 0; place < count; place += 1) {
    const row = document.querySelector<HTMLElement>('[data-id][data-unread="true"]')
    if (!row) break
    const at = performance.now()
    const shown = new Promise<number>((resolve) =>
      new MutationObserver((_, observer) => {
        if (row.dataset.unread === 'true') return
        observer.disconnect()
        resolve(performance.now() - at)
      }).observe(row, { attributes: true }),
    )
    row.querySelector<HTMLElement>('button[aria-label="Mark as read"]')?.click()
    took.push(await shown)
  }
  return took
}

/** Milliseconds from the first script to the first row. */
async function firstPaint(page: Page): Promise<number> {
  await page.addInitScript(() => {
    new MutationObserver((_, observer) => {
      if (!document.querySelector('[data-id]')) return
      observer.disconnect()
      Object.assign(globalThis, { paintedAt: performance.now() })
    }).observe(document, { subtree: true, childList: true })
  })
  await page.reload()
  await page.locator('[data-id]').first().waitFor()
  return page.evaluate(() => {
    const [navigation] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[]
    return (globalThis as unknown as { paintedAt: number }).paintedAt - (navigation?.domInteractive ?? 0)
  })
}

async function tabs(t: Test, system: WebSystem): Promise<Row[]> {
  const [emil, finn] = [await system.as('emil'), await system.as('finn')]
  const posts = await postsOf(emil, 11)
  const { context, page } = await system.window()
  const others = system.push?.stats().sockets ?? 0
  await signInBy(page, 'emil', PASSWORD)
  const pages = [page]
  while (pages.length < 5) {
    const tab = await context.newPage()
    await tab.goto('/bookmarks')
    await tab.getByText('No bookmarks').waitFor()
    pages.push(tab)
  }
  for (const tab of pages) await noteChanges(tab)
  const apart: number[] = []
  for (const [place, id] of posts.slice(1).entries()) {
    await finn.like(id)
    const times = await Promise.all(
      pages.map(async (tab) => {
        const { at } = await eventually(async () => (await changesOf(tab)).find(({ badge }) => badge > place))
        return at
      }),
    )
    apart.push(Math.max(...times) - Math.min(...times))
  }
  const sockets = (system.push?.stats().sockets ?? 0) - others
  t.equal(sockets, 1)
  for (const tab of pages.slice(2)) await tab.close()
  const other = pages[1] ?? page
  const resume = await pause(context, page)
  const since = Date.now()
  await finn.like(posts[0] ?? '')
  await eventually(async () => (await badgeOf(other)) === 11)
  const takenOver = Date.now() - since
  await resume()
  await context.close()
  return [
    ['five tabs', '1 socket, equal within 50 ms', `${sockets} socket, p50 ${ms(quantile(apart, 0.5))}`],
    ['a paused tab is replaced, and nothing is lost', '≤ 12 s', `${(takenOver / 1000).toFixed(1)} s`],
  ]
}

async function thousandLikes(t: Test, system: WebSystem): Promise<Row[]> {
  const gina = await system.as('gina')
  const [id = ''] = await postsOf(gina, 1)
  const { page } = await system.window()
  await signInBy(page, 'gina', PASSWORD)
  const { renders, toasts, seconds } = await renderLikes(system, page, id, 1000)
  t.equal(toasts, 1)
  const rate = `${(renders / seconds).toFixed(1)} renders a second, ${toasts} toast`
  return [['1,000 likes of a watched post', '≤ 4 renders a second, ≤ 1 toast', rate]]
}

async function postsOf(author: TestClient, count: number): Promise<string[]> {
  const ids: string[] = []
  for (let place = 0; place < count; place += 1) ids.push((await author.post(`Post ${place}`)).id)
  return ids
}

type Change = { at: number; badge: number; rows: number }

/** Notes, at each change of the page, when it was and what badge and list show. */
async function noteChanges(page: Page): Promise<void> {
  await page.evaluate(() => {
    const changes: { at: number; badge: number; rows: number }[] = []
    Object.assign(globalThis, { changes })
    new MutationObserver(() =>
      changes.push({
        at: performance.timeOrigin + performance.now(),
        badge: Number(document.querySelector('[data-unread][popovertarget]')?.getAttribute('data-unread')),
        rows: document.querySelectorAll('main [data-id]').length,
      }),
    ).observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true })
  })
}

const changesOf = (page: Page): Promise<Change[]> => page.evaluate('changes')

function quantile(values: number[], part: number): number {
  const sorted = [...values].sort((one, other) => one - other)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0
}

const ms = (milliseconds: number) => `${milliseconds.toFixed(0)} ms`
