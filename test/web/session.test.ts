import type { BrowserContext, Page } from 'playwright-core'
import { test } from 'tap'
import { PASSWORD } from '../client.ts'
import { startPushService, vapid } from '../notify/channels/push-service.ts'
import { eventually } from '../setup.ts'
import { signInBy, skip, webSystem } from './browser.ts'

test('push is on only if the server has the subscription, and ends with the sign-out', { skip }, async (t) => {
  const service = await startPushService(t)
  const system = await webSystem(t, { env: vapid })
  const ana = await system.as('ana')
  const { context, page } = await system.window()
  await context.grantPermissions(['notifications'])
  await withPush(context, service.browser())
  await signInBy(page, 'ana', PASSWORD)
  await page.goto('/settings/push')
  await page.getByRole('button', { name: 'Switch on', exact: true }).click()
  const off = page.getByRole('button', { name: 'Switch off', exact: true })
  await off.waitFor()
  // As at the end of a session, which leaves the browser its subscription.
  const { items } = await ana.get('/push/subscriptions')
  await ana.request('DELETE', `/push/subscriptions/${items[0].id}`)
  await page.reload()
  await page.getByRole('button', { name: 'Switch on', exact: true }).click()
  await off.waitFor()
  t.equal((await ana.get('/push/subscriptions')).items.length, 1)
  const isOf = 'select session_id = $1 as "isOfOther" from notify.push_subscriptions'
  await system.pool.query('update notify.push_subscriptions set session_id = $1', [ana.sessionId])
  await page.reload()
  await off.waitFor()
  t.match((await system.pool.query(isOf, [ana.sessionId])).rows, [{ isOfOther: false }], 'it ends with this session')
  await signOut(page)
  await eventually(() => page.evaluate(() => localStorage.getItem('test.push') === null))
  await eventually(async () => (await ana.get('/push/subscriptions')).items.length === 0)
  system.noErrors()
})

test('however a session ends, nothing of the inbox stays stored', { skip }, async (t) => {
  const system = await webSystem(t)
  const ana = await system.as('ana')
  const ben = await system.as('ben')
  await ben.follow(ana.id)
  const { context, page } = await system.window()
  const signIn = async () => {
    await signInBy(page, 'ana', PASSWORD)
    await eventually(async () => (await stored(page)) > 0)
  }
  await signIn()
  await page.goto('/settings/sessions')
  const row = page.getByText('this one').locator('xpath=ancestor::div[1]')
  await row.getByRole('button', { name: 'Sign out' }).click()
  await page.getByLabel('Password').waitFor()
  await eventually(async () => (await stored(page)) === 0)

  await signIn()
  await context.route(/\/auth\/refresh|\/bookmarks$/, (route) =>
    route.request().resourceType() === 'document' ? route.continue() : route.fulfill({ status: 401, json: {} }),
  )
  await page.getByRole('link', { name: 'Bookmarks' }).first().click()
  await page.getByLabel('Password').waitFor()
  await eventually(async () => (await stored(page)) === 0)
})

test("a tab left by one user does not end another user's session", { skip }, async (t) => {
  const system = await webSystem(t)
  await system.as('ana')
  const ben = await system.as('ben')
  const { context, page } = await system.window()
  // Hears of nothing, as a frozen tab.
  await page.addInitScript(() => {
    const Original = BroadcastChannel
    globalThis.BroadcastChannel = class extends Original {
      override set onmessage(listener: BroadcastChannel['onmessage']) {
        if (this.name !== 'ravenpost.session') super.onmessage = listener
      }
    }
  })
  await signInBy(page, 'ana', PASSWORD)
  await page.evaluate(() => localStorage.removeItem('ravenpost.user'))
  const other = await context.newPage()
  await signInBy(other, 'ben', PASSWORD)
  await other.evaluate(() => Object.assign(window, { stays: true }))
  await page.route(/\/bookmarks\?|\/bookmarks$/, (route) => route.fulfill({ status: 401, json: {} }), { times: 1 })
  await page.getByRole('link', { name: 'Bookmarks' }).first().click()
  await page.locator(`a[href$="/users/${ben.id}"]`).first().waitFor({ state: 'attached' })
  t.equal(await userIn(other), 'ben')
  t.ok(await other.evaluate(() => 'stays' in window), 'the other tab is not loaded again')
})

test('a sign-out without network is sent when the network returns', { skip }, async (t) => {
  const system = await webSystem(t)
  const ana = await system.as('ana')
  const { context, page } = await system.window()
  await context.addInitScript(() => {
    const { setTimeout } = window
    window.setTimeout = ((run: () => void, ms: number) => (ms >= 5000 ? 0 : setTimeout(run, ms))) as typeof setTimeout
  })
  await signInBy(page, 'ana', PASSWORD)
  const sessions = async () => (await ana.get('/auth/sessions')).items.length
  t.equal(await sessions(), 2)
  await context.route('**/auth/**', (route) => route.fulfill({ status: 503, json: {} }))
  await signOut(page)
  await page.getByText('the server ends the session as soon as it can be reached').waitFor()
  await page.reload()
  await page.getByText('the server ends the session as soon as it can be reached').waitFor()
  t.equal(await sessions(), 2)
  await context.unroute('**/auth/**')
  await page.evaluate(() => dispatchEvent(new Event('online')))
  await eventually(async () => (await sessions()) === 1)
  await page.getByText('the server ends the session').waitFor({ state: 'detached' })
})

test('a sign-out that the server refused is sent again after some seconds', { skip }, async (t) => {
  const system = await webSystem(t)
  const ana = await system.as('ana')
  const { context, page } = await system.window()
  await signInBy(page, 'ana', PASSWORD)
  await context.route('**/auth/**', (route) => route.fulfill({ status: 503, json: {} }))
  await signOut(page)
  await page.getByText('the server ends the session as soon as it can be reached').waitFor()
  await context.unroute('**/auth/**')
  await eventually(async () => (await ana.get('/auth/sessions')).items.length === 1)
  await page.getByText('the server ends the session').waitFor({ state: 'detached' })
})

test('a refresh that hangs blocks no other tab', { skip }, async (t) => {
  const system = await webSystem(t)
  await system.as('ana')
  const { context, page } = await system.window()
  await context.addInitScript(() => {
    const { timeout } = AbortSignal
    AbortSignal.timeout = (ms) => timeout.call(AbortSignal, ms / 10)
  })
  await signInBy(page, 'ana', PASSWORD)
  const hangs = new Promise<void>((resolve) => page.route('**/auth/refresh', () => resolve()))
  await page.reload()
  await hangs
  const other = await context.newPage()
  await other.goto('/bookmarks')
  await other.getByText('No bookmarks').waitFor()
})

async function signOut(page: Page): Promise<void> {
  await page.getByRole('button', { name: 'Your account' }).click()
  await page.getByRole('menuitem', { name: 'Sign out' }).click()
  await page.getByLabel('Password').waitFor()
}

async function userIn(page: Page): Promise<string | undefined> {
  const user = await page.evaluate(() => localStorage.getItem('ravenpost.user'))
  return JSON.parse(user ?? '{}').username
}

/** How many inboxes and intents the databases of the client hold. */
function stored(page: Page): Promise<number> {
  return page.evaluate(async () => {
    const result = <T>(request: IDBRequest<T>) =>
      new Promise<T>((resolve, reject) => {
        request.onsuccess = () => resolve(request.result)
        request.onerror = () => reject(request.error)
      })
    let count = 0
    for (const { name = '' } of await indexedDB.databases()) {
      const database = await result(indexedDB.open(name))
      for (const store of database.objectStoreNames)
        count += await result(database.transaction(store).objectStore(store).count())
      database.close()
    }
    return count
  })
}

/** Gives a browser without a push service this subscription. */
async function withPush(context: BrowserContext, subscription: { endpoint: string }): Promise<void> {
  await context.addInitScript((json) => {
    const current = () =>
      localStorage.getItem('test.push') === null
        ? null
        : {
            endpoint: json.endpoint,
            toJSON: () => json,
            unsubscribe: async () => {
              localStorage.removeItem('test.push')
              return true
            },
          }
    Object.assign(PushManager.prototype, {
      getSubscription: async () => current(),
      subscribe: async () => {
        localStorage.setItem('test.push', 'on')
        return current()
      },
    })
  }, subscription)
}
