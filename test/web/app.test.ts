import { setTimeout as sleep } from 'node:timers/promises'
import type { Page } from 'playwright-core'
import { test } from 'tap'
import { renderRequests } from '../../src/ops/requests.ts'
import { startProxy } from '../client/proxy.ts'
import { PASSWORD } from '../client.ts'
import { startServerProcess } from '../server-process.ts'
import { inOrderOfTime, noDrift, settled } from '../settled.ts'
import { eventually, startSystem } from '../setup.ts'
import { badgeOf, goOffline, listOf, live, signInBy, skip, WEB, webSystem } from './browser.ts'
import { firstRoute } from './measure.ts'

test('the first page loads at most 160 KB of scripts and 12 KB of styles, compressed', async (t) => {
  const { scripts, styles } = await firstRoute()
  t.ok(scripts > 1024 && scripts <= 160 * 1024, `${scripts} bytes of scripts`)
  t.ok(styles > 1024 && styles <= 12 * 1024, `${styles} bytes of styles`)
})

test('a like from another window appears as toast, badge and row, and disappears again', {
  skip,
}, async (t) => {
  const system = await webSystem(t)
  const { page: ana } = await system.window()
  await ana.goto('/')
  await ana.getByRole('link', { name: 'Create account' }).click()
  await ana.getByLabel('Name (as others see it)').fill('Ana Silva')
  await ana.getByLabel('Username').fill('ana')
  await ana.getByLabel('Email').fill('ana@example.org')
  await ana.getByLabel('Password').fill('password')
  await ana.getByRole('button', { name: 'Create account' }).click()
  await ana.getByText('This password is too common.').waitFor()
  await ana.locator('[name="password"]:focus').waitFor()
  t.equal(await ana.getByLabel('Username').inputValue(), 'ana', 'a refused form keeps what was typed')
  await ana.getByLabel('Password').fill(PASSWORD)
  await ana.getByRole('button', { name: 'Create account' }).click()

  await ana.getByRole('textbox', { name: 'New post' }).fill('Good morning from the harbour')
  await ana.getByRole('button', { name: 'Post', exact: true }).click()
  await ana.getByRole('article').getByText('Good morning from the harbour').waitFor()
  await live(ana)

  await system.as('ben')
  const { page: ben } = await system.window()
  await signInBy(ben, 'ben', PASSWORD)
  const toast = ana.locator('[data-toast]').getByText('ben liked your post').waitFor()
  await ben.getByRole('button', { name: /^Like, / }).click()

  await toast
  await eventually(async () => (await badgeOf(ana)) === 1)
  await eventually(async () => (await ana.title()).startsWith('(1) '))
  await ana.getByRole('button', { name: 'Notifications, 1 unread' }).click()
  const row = ana.getByRole('region', { name: 'Notifications' }).getByRole('listitem')
  await row.getByText('ben liked your post').waitFor()
  await eventually(() => ana.locator('[data-likes="1"]').count())

  await ben.getByRole('button', { name: /^Like, / }).click()
  await row.waitFor({ state: 'detached' })
  await eventually(async () => (await badgeOf(ana)) === 0)
  // A toast changes four times a second at most.
  await eventually(async () => (await ana.locator('[data-toast]').count()) === 0)
  system.noErrors()
})

test("in every browser tab, list and badge equal the REST API's whenever the system is idle, also after failures", {
  skip,
}, async (t) => {
  const system = await webSystem(t, { windowSeconds: 0, worker: false })
  const network = await startProxy(t, system.url)
  const startWorker = () =>
    startServerProcess(t, 'worker', { DATABASE_URL: system.databaseUrl, SWEEP_INTERVAL_MS: '500' })
  let worker = await startWorker()
  const ana = await system.as('ana')
  const friends = await Promise.all(['ben', 'cleo', 'dora'].map((name) => system.as(name)))
  const posts = [await ana.post('one'), await ana.post('two')]
  const { context, page } = await system.window({ url: network.url })
  await signInBy(page, 'ana', PASSWORD)
  const tabs = [page, await context.newPage()]
  for (const tab of tabs) await tab.goto('/notifications')
  const phone = await system.window({ url: network.url })
  await signInBy(phone.page, 'ana', PASSWORD)
  await phone.page.goto('/notifications')
  tabs.push(phone.page)

  const random = seeded(20_261_127)
  const pick = <T>(items: readonly T[]): T => items[Math.floor(random() * items.length)] as T
  const actions = [
    () => pick(friends).like(pick(posts).id),
    () => pick(friends).unlike(pick(posts).id),
    () => pick(friends).comment(pick(posts).id, 'a comment'),
    () => pick(friends).follow(ana.id),
    () => pick(friends).unfollow(ana.id),
    () => ana.request('POST', '/notifications/read', { ids: [String(Math.ceil(random() * 8))] }),
    () => ana.request('PATCH', '/notifications/mark-all-read', {}),
    () => ana.request('POST', '/notifications/archive', { ids: [String(Math.ceil(random() * 8))] }),
  ]
  const act = async (times: number) => {
    for (let step = 0; step < times; step += 1) await pick(actions)()
  }
  let { push } = system
  const rounds = {
    'nothing fails': () => act(10),
    'the tabs are offline': async () => {
      await context.setOffline(true)
      await act(10)
      await context.setOffline(false)
    },
    'sockets are cut': async () => {
      await act(5)
      network.cut()
      await act(5)
    },
    'the worker is killed': async () => {
      await act(5)
      worker.child.kill('SIGKILL')
      await act(5)
      worker = await startWorker()
    },
    'the phone is offline as the server restarts': async () => {
      await phone.context.setOffline(true)
      await act(5)
      const next = await startSystem(t, system.databaseUrl, { push: true, web: WEB, env: { DEMO: 'true' } })
      network.turnTo(next.url)
      await push?.close()
      push = next.push
      network.cut()
      await act(5)
      await phone.context.setOffline(false)
    },
  }
  for (const [round, play] of Object.entries(rounds)) {
    await play()
    await settled(system)
    const { items, unreadCount } = await ana.get('/notifications?limit=100')
    const ids = items.map(({ id }: { id: string }) => id)
    for (const [place, tab] of tabs.entries()) {
      await eventually(async () => (await badgeOf(tab)) === unreadCount)
      await eventually(async () => JSON.stringify(await listOf(tab)) === JSON.stringify(ids)).catch(async () =>
        t.same(await listOf(tab), ids, `${round}: tab ${place}`),
      )
      await eventually(async () => Number(/^\((\d+)\)/.exec(await tab.title())?.[1] ?? 0) === unreadCount)
      t.pass(`${round}, tab ${place}: ${ids.length} shown, ${unreadCount} unread`)
    }
  }
  await noDrift(t, system)
  await inOrderOfTime(t, system)
  system.noErrors()
})

test('five tabs share one socket, and another tab takes over when its tab closes', { skip }, async (t) => {
  const system = await webSystem(t, { windowSeconds: 0 })
  const ana = await system.as('ana')
  const ben = await system.as('ben')
  const { id } = await ana.post('Good morning')
  const { context, page } = await system.window()
  await signInBy(page, 'ana', PASSWORD)
  const tabs: Page[] = [page]
  while (tabs.length < 5) {
    const tab = await context.newPage()
    await tab.goto('/bookmarks')
    await live(tab)
    tabs.push(tab)
  }
  await eventually(() => system.push?.stats().sockets === 1)
  const before = await requestsOfQuietPages()
  await ben.like(id)
  for (const tab of tabs) await eventually(async () => (await badgeOf(tab)) === 1)
  t.equal(requestsSoFar() - before, 1, 'the like, and no request of a tab')
  // Two tabs may lead for a moment.
  await eventually(() => system.push?.stats().sockets === 1)
  await page.close()
  await ben.comment(id, 'hello')
  for (const tab of tabs.slice(1)) await eventually(async () => (await badgeOf(tab)) === 2)
  system.noErrors()
})

test('a notification read offline shows as read at once and reaches the server later, as does a post', {
  skip,
}, async (t) => {
  const system = await webSystem(t)
  const ana = await system.as('ana')
  const ben = await system.as('ben')
  await ben.follow(ana.id)
  const { context, page } = await system.window()
  await signInBy(page, 'ana', PASSWORD)
  await eventually(async () => (await badgeOf(page)) === 1)
  await goOffline({ context, page })
  await page.getByRole('textbox', { name: 'New post' }).fill('From the train')
  await page.getByRole('button', { name: 'Post', exact: true }).click()
  await page.getByRole('button', { name: 'Waiting for the network' }).waitFor()
  await page.getByRole('button', { name: 'Notifications, 1 unread' }).click()
  await page.getByRole('button', { name: 'Mark all as read' }).click()
  await eventually(async () => (await badgeOf(page)) === 0)
  await page.getByText('Saved here, will sync').waitFor()
  t.match(await ana.get('/notifications/unread-count'), { unreadCount: 1 }, 'the server does not know yet')
  await context.setOffline(false)
  await eventually(async () => (await ana.get('/notifications/unread-count')).unreadCount === 0)
  await page.getByText('Up to date, nothing missed').waitFor()
  await page.getByRole('article').getByText('From the train').waitFor()
  system.noErrors()
})

test('new posts and comments appear on open pages, also after a lost connection', {
  skip,
}, async (t) => {
  const system = await webSystem(t)
  const ana = await system.as('ana')
  const ben = await system.as('ben')
  const post = await ana.post('Good morning')
  await ben.follow(ana.id)
  await system.pool.query('update social.users set avatar_url = $1 where id = $2', [`${system.url}/icon.svg`, ben.id])
  const { context, page } = await system.window()
  await signInBy(page, 'ana', PASSWORD)
  await page.getByRole('article').first().waitFor()
  await ben.post('first')
  await page.getByRole('button', { name: '1 new post' }).waitFor()
  await goOffline({ context, page })
  await ben.post('second')
  await context.setOffline(false)
  const more = page.getByRole('button', { name: /new posts?$/ })
  // The list itself is fetched again when the break was long, and the button goes.
  await eventually(async () => {
    if (await page.getByRole('article').getByText('second').isVisible()) return true
    await more.click({ timeout: 1000 }).catch(() => {})
  })
  await page.getByRole('article').getByText('second').waitFor()
  await more.waitFor({ state: 'detached' })
  await eventually(async () => (await page.locator('[data-post]').count()) === 3)
  const face = page.locator('[data-post]', { hasText: 'second' }).locator('img').first()
  await eventually(() => face.evaluate((image: HTMLImageElement) => image.naturalWidth > 0))

  await page.goto(`/posts/${post.id}`)
  await page.getByText('No comments yet').waitFor()
  // The request that follows the start of the watch may bring the first ones, unmarked.
  const { id, comment } = await eventually(async () => {
    const { id } = await ben.comment(post.id, 'Hello')
    const comment = page.locator(`#comment-${id}`)
    await comment.getByText('Hello').waitFor()
    return (await comment.getByText('New').isVisible()) && { id, comment }
  })
  const reply = await ben.comment(post.id, 'Hello again', id)
  await page.locator(`#comment-${reply.id}`).getByText('Hello again').waitFor()
  await comment.getByRole('button', { name: 'Hide replies' }).click()
  await ben.comment(post.id, 'And again', id)
  await comment.getByRole('button', { name: 'Show 2 replies' }).click()
  await comment.getByText('And again').waitFor()
  await ben.request('DELETE', `/comments/${reply.id}`)
  await page.locator(`#comment-${reply.id}`).waitFor({ state: 'detached' })

  await page.goto('/settings/notifications')
  await page.getByRole('radio', { name: 'Drop' }).check()
  await page.getByRole('button', { name: 'Try on the last 30 days' }).click()
  await page.getByText(/^\d notifications? would have come differently/).waitFor()
  system.noErrors()
})

test('changes between the fetch of a page and the start of its watch are shown', { skip }, async (t) => {
  const system = await webSystem(t)
  await system.as('ana')
  const ben = await system.as('ben')
  const first = await ben.post('first')
  const { page } = await system.window()
  /** Frames that subscribe wait until this resolves. */
  let watching = Promise.resolve()
  let watch = () => {}
  const holdWatch = () => {
    watching = new Promise((resolve) => {
      watch = resolve
    })
  }
  await page.routeWebSocket(/\/ws$/, (socket) => {
    const server = socket.connectToServer()
    let last = Promise.resolve()
    socket.onMessage((data) => {
      last = last.then(() => (String(data).includes('"watch"') ? watching : undefined)).then(() => server.send(data))
    })
  })
  holdWatch()
  await signInBy(page, 'ana', PASSWORD)
  await page.getByRole('article').getByText('first').waitFor()
  await ben.post('second')
  watch()
  await page.getByRole('button', { name: '1 new post' }).click()
  await page.getByRole('article').getByText('second').waitFor()

  holdWatch()
  await page.goto(`/posts/${first.id}`)
  await page.getByText('No comments yet').waitFor()
  const comment = await ben.comment(first.id, 'between')
  watch()
  await page.locator(`#comment-${comment.id}`).getByText('between').waitFor()

  // The answer with the comments is made before a comment, and arrives after the watch.
  let release = () => {}
  const released = new Promise<void>((resolve) => {
    release = resolve
  })
  let reads = 0
  await page.route(/\/posts\/\d+\/comments/, async (route) => {
    const response = await route.fetch()
    reads += 1
    if (reads === 1) await released
    await route.fulfill({ response }).catch(() => {})
  })
  holdWatch()
  await page.reload()
  await eventually(() => reads >= 1)
  const late = await ben.comment(first.id, 'late')
  watch()
  await eventually(() => reads >= 2)
  release()
  await page.locator(`#comment-${late.id}`).getByText('late').waitFor()
  system.noErrors()
})

test('a keyboard user signs in, opens the bell and follows a notification', {
  skip,
}, async (t) => {
  const system = await webSystem(t)
  const ana = await system.as('ana')
  const ben = await system.as('ben')
  const post = await ana.post('Good morning')
  await ben.like(post.id)
  const { page } = await system.window()
  await page.goto('/signin')
  const { keyboard } = page
  const tabTo = async (name: RegExp) => {
    for (let press = 0; press < 40; press += 1) {
      await keyboard.press('Tab')
      const label = await page.evaluate(() => {
        const active = document.activeElement
        const own = active?.getAttribute('aria-label') ?? active?.textContent ?? ''
        return active instanceof HTMLInputElement ? (active.labels?.[0]?.textContent ?? own) : own
      })
      if (name.test(label)) return
    }
    t.fail(`${name} is not reached by Tab`)
  }
  await tabTo(/^Username or email/)
  await keyboard.type('ana')
  await tabTo(/^Password/)
  await keyboard.type(PASSWORD)
  await keyboard.press('Enter')
  await page.getByRole('button', { name: 'Notifications, 1 unread' }).waitFor()
  await tabTo(/^Notifications, 1 unread/)
  await keyboard.press('Enter')
  await tabTo(/^All$/)
  await keyboard.press('ArrowRight')
  await page.getByRole('tab', { selected: true, name: 'Unread 1' }).waitFor()
  await keyboard.press('Escape')
  await page.getByRole('region', { name: 'Notifications' }).waitFor({ state: 'hidden' })
  await page.locator('[data-unread][popovertarget]:focus').waitFor()
  await keyboard.press('Enter')
  await page.getByRole('listitem').getByText('ben liked your post').waitFor()
  await tabTo(/^ben liked your post/)
  await keyboard.press('Enter')
  await page.waitForURL(`**/posts/${post.id}`)
  await eventually(async () => (await badgeOf(page)) === 0)
  system.noErrors()
})

for (const place of ['bell', 'centre']) {
  test(`single keys move through the ${place}, read, archive, delete, and explain themselves`, { skip }, async (t) => {
    const system = await webSystem(t)
    const ana = await system.as('ana')
    const ben = await system.as('ben')
    const post = await ana.post('Good morning')
    await ben.like(post.id)
    await ben.follow(ana.id)
    await ben.post('Good morning, @ana')
    const { page } = await system.window()
    await signInBy(page, 'ana', PASSWORD)
    const bell = page.getByRole('button', { name: 'Notifications, 3 unread' })
    await bell.waitFor()
    if (place === 'bell') await bell.press('Enter')
    else await page.goto('/notifications')
    const { keyboard } = page
    const rows = page.locator(place === 'bell' ? '[data-bell] [data-id]' : 'main [data-id]')
    const focused = () => page.evaluate(() => document.activeElement?.closest('[data-id]')?.getAttribute('data-id'))
    const unread = async () => (await ana.get('/notifications/unread-count')).unreadCount
    await eventually(async () => (await rows.count()) === 3)
    const [first, second, third] = await rows.evaluateAll((items) => items.map((item) => item.getAttribute('data-id')))

    await rows.first().getByRole('link').focus()
    await keyboard.press('?')
    const help = page.getByRole('dialog', { name: 'Keyboard shortcuts' })
    await help.getByText('Archive or move back').waitFor()
    await keyboard.press('Escape')
    await help.waitFor({ state: 'detached' })
    t.equal(await focused(), first, 'the focus comes back')
    await keyboard.press('j')
    t.equal(await focused(), second)
    await keyboard.press('ArrowDown')
    t.equal(await focused(), third)
    await keyboard.press('k')
    await keyboard.press('u')
    await eventually(async () => (await unread()) === 2)
    await keyboard.press('u')
    await eventually(async () => (await unread()) === 3)
    await keyboard.press('e')
    await eventually(async () => (await rows.count()) === 2)
    t.equal(await focused(), third)
    await keyboard.press('#')
    await eventually(async () => (await rows.count()) === 1)
    t.equal(await focused(), first)
    await keyboard.press('Shift+A')
    await eventually(async () => (await unread()) === 0)
    t.match((await ana.get('/notifications?filter=archived')).items, [{ id: second }])
    system.noErrors()
  })
}

test('a person is muted from the menu of a notification, and a missing or broken page keeps the bell', {
  skip,
}, async (t) => {
  const system = await webSystem(t)
  const ana = await system.as('ana')
  const ben = await system.as('ben')
  await ben.follow(ana.id)
  const { page } = await system.window()
  await signInBy(page, 'ana', PASSWORD)
  await page.goto('/notifications')
  await page.getByRole('button', { name: 'More actions: ben followed you' }).press('Enter')
  await page.getByRole('menuitem', { name: 'Mute ben' }).press('Enter')
  await page.getByText("You see ben's posts, but get no notifications about what ben does.").waitFor()
  await eventually(async () => (await ana.get(`/users/${ben.id}`)).viewer.muted)
  await page.getByRole('button', { name: 'Unmute' }).press('Enter')
  await page.getByText("You see ben's posts").waitFor({ state: 'detached' })
  await page.goto('/settings/quiet')
  await page.getByRole('switch', { name: 'Do not disturb', exact: true }).waitFor()
  await page.goto('/settings/push')
  await page.getByRole('radio', { name: 'Once a day' }).press('Space')
  await page.getByRole('button', { name: 'Save' }).press('Enter')
  await eventually(async () => (await ana.get('/notifications/preferences')).preferences.digest?.every === 'day')
  await page.goto('/nowhere')
  await page.getByRole('heading', { name: 'This page does not exist' }).waitFor()
  await eventually(async () => (await badgeOf(page)) === 1)
  system.noErrors()
  await page.route(/\/auth\/sessions/, (route) => route.fulfill({ json: { items: [null] } }))
  await page.goto('/settings/sessions')
  await page.getByText('Something broke on this page').waitFor()
  await eventually(async () => (await badgeOf(page)) === 1)
})

test("likes from the demo's controls go through the pipeline, and the page shows who waits", { skip }, async (t) => {
  const system = await webSystem(t)
  const ana = await system.as('ana')
  const post = await ana.post('Good morning')
  const { page } = await system.window()
  await signInBy(page, 'ana', PASSWORD)
  await page.goto(`/posts/${post.id}`)
  const dials = page.getByRole('region', { name: 'Simulation' })
  await dials.getByText('3 at once, 5 together within 2 min').waitFor()
  await dials.getByRole('button', { name: 'Send' }).click()
  await dials.getByRole('img', { name: '3 delivered, 5 waiting' }).waitFor()
  await eventually(async () => (await badgeOf(page)) === 1)
  await dials.getByRole('button', { name: 'Clean up' }).click()
  await dials.getByText('8 simulated people removed').waitFor()
  await eventually(async () => (await badgeOf(page)) === 0)
  await settled(system)
  await noDrift(t, system)
  system.noErrors()
})

/** Mulberry32: the same numbers in every run. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** Waits until pages have made no request for two seconds. */
async function requestsOfQuietPages(): Promise<number> {
  for (let before = -1; ; ) {
    const now = requestsSoFar()
    if (now === before) return now
    before = now
    await sleep(2000)
  }
}

/** Requests that the servers of this process have answered. */
function requestsSoFar(): number {
  const counts = renderRequests().matchAll(/^ravenpost_http_requests_total\{.*\} (\d+)$/gm)
  return [...counts].reduce((sum, [, n]) => sum + Number(n), 0)
}
