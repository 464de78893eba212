import { existsSync } from 'node:fs'
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core'
import tap, { type Test } from 'tap'
import { buildIfStale, DIST } from '../../src/api/web-build.ts'
import { type Options, setup, type TestSystem } from '../setup.ts'

const found = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
  (path) => path !== undefined && existsSync(path),
)

/** For `test(name, { skip }, …)`: these tests need a browser. */
export const skip = found === undefined && 'Chromium is missing: apt-get install chromium, or set CHROMIUM to its path'

const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** `url`: of the server, if not the system's. */
export type Look = { theme?: 'light' | 'dark'; language?: string; width?: number; url?: string }
/** A browser of its own, as far as cookies and storage go. */
export type Window = { context: BrowserContext; page: Page }
export type WebSystem = TestSystem & {
  window(look?: Look): Promise<Window>
  /** Asserts that no page has written an error to its console. */
  noErrors(): void
}

/** The app as it was built. */
export const WEB = { dist: DIST, build: () => ({ running: false }) }

/** A server with worker, sockets and the app as it is built, and a browser. */
export async function webSystem(t: Test, options: Options = {}): Promise<WebSystem> {
  await buildIfStale()
  const system = await setup(t, {
    worker: true,
    push: true,
    web: WEB,
    ...options,
    env: { DEMO: 'true', ...options.env },
  })
  const errors: string[] = []
  const noErrors = () => t.same(errors, [], 'no errors in the console of any page')
  return { ...system, window: (look) => openWindow(t, look?.url ?? system.url, look, errors), noErrors }
}

/** `errors` gets what pages write to their console. */
export async function openWindow(t: Test, url: string, look: Look = {}, errors: string[] = []): Promise<Window> {
  const { theme = 'light', language = 'en', width = 1280 } = look
  const browser = await startBrowser()
  const context = await browser.newContext({
    baseURL: url,
    viewport: { width, height: 800 },
    colorScheme: theme,
    reducedMotion: 'reduce',
  })
  t.teardown(() => context.close())
  await context.addInitScript((chosen) => {
    // An empty page has no storage.
    if (location.protocol === 'http:') localStorage.setItem('ravenpost.look', JSON.stringify({ language: chosen }))
  }, language)
  // Many for a machine that is busy.
  context.setDefaultTimeout(60_000)
  context.on('page', (page) => {
    page.on('pageerror', (error) => errors.push(String(error)))
    page.on('console', (message) => {
      // The browser's own lines about answers that a test provokes.
      if (message.type() === 'error' && !/status of (400|422)|ERR_INTERNET_DISCONNECTED|WebSocket/.test(message.text()))
        errors.push(message.text())
    })
  })
  return { context, page: await context.newPage() }
}

let started: Promise<Browser> | undefined

/** One for all tests of the process. */
function startBrowser(): Promise<Browser> {
  started ??= chromium.launch({ executablePath: found ?? '', args: ARGUMENTS }).then((browser) => {
    tap.teardown(() => browser.close())
    return browser
  })
  return started
}

/** By the form, as a person does. */
export async function signInBy(page: Page, username: string, password: string): Promise<void> {
  await page.goto('/signin')
  await page.getByLabel('Username or email').fill(username)
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('button', { name: /^Notifications, / }).waitFor()
  await live(page)
  // Under the pointer a list holds new rows back.
  await page.mouse.move(1, 1)
}

/** Waits until the page is live. It only catches up with what arrives earlier, without a toast. */
export async function live(page: Page): Promise<void> {
  await page.locator('[data-status="live"]').first().waitFor({ state: 'attached' })
}

/** Cuts the network of all pages, and waits until this one has closed its socket, so that it receives nothing more. */
export async function goOffline({ context, page }: Window): Promise<void> {
  await context.setOffline(true)
  await page.locator('[data-status="offline"]').first().waitFor({ state: 'attached' })
}

/** The number on the bell; 0 where there is none. */
export async function badgeOf(page: Page): Promise<number> {
  return Number(await page.locator('[data-unread][popovertarget]').getAttribute('data-unread'))
}

/** Ids of the notifications on the page, in order. */
export function listOf(page: Page): Promise<(string | null)[]> {
  return page.locator('main [data-id]').evaluateAll((items) => items.map((item) => item.getAttribute('data-id')))
}
