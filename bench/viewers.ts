import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { chromium } from 'playwright-core'

/**
 * `ADMIN_PASSWORD=… node bench/viewers.ts <server url> <database url>`: the database time per second that ten viewers of the console
 * cost, five at the overview and five at the tables. Shows that of the server without viewers first. Needs Chromium.
 */
const VIEWERS = 10
const SECONDS = 60
const [url, databaseUrl] = process.argv.slice(2)
const password = process.env.ADMIN_PASSWORD
if (!url || !databaseUrl || !password)
  throw new Error('ADMIN_PASSWORD=… node bench/viewers.ts http://127.0.0.1:3000 postgres://…')

const database = new pg.Client({ connectionString: databaseUrl })
await database.connect()
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
})
try {
  await measure('without viewers')
  for (let viewer = 0; viewer < VIEWERS; viewer += 1)
    await openConsole(viewer % 2 === 0 ? '/console' : '/console/tables')
  await measure(`${VIEWERS} viewers`)
} finally {
  await browser.close()
  await database.end()
}

async function openConsole(path: string): Promise<void> {
  const context = await browser.newContext({ baseURL: url as string })
  const page = await context.newPage()
  await page.goto('/signin')
  await page.getByLabel('Username or email').fill('admin')
  await page.getByLabel('Password').fill(password as string)
  await page.getByRole('button', { name: 'Sign in' }).click()
  await page.getByRole('button', { name: /^Notifications, / }).waitFor()
  await page.goto(path)
  await page.getByRole('main').getByRole('table').first().waitFor()
  // Ten sign-ins a minute are allowed.
  await sleep(7_000)
}

/** Prints what the database does per second. Its own backends report their time when they are idle, at the latest after a second. */
async function measure(what: string): Promise<void> {
  const before = await activity()
  await sleep(SECONDS * 1000)
  const after = await activity()
  const seconds = (after.at - before.at) / 1000
  const [active, transactions] = [after.active - before.active, after.transactions - before.transactions]
  console.log(
    `${what}: ${(active / seconds).toFixed(1)} ms of database time and ${(transactions / seconds).toFixed(1)} transactions a second`,
  )
}

/** `active`: milliseconds in which sessions executed statements. */
async function activity(): Promise<{ at: number; active: number; transactions: number }> {
  const { rows } = await database.query<{ active: number; transactions: number }>(
    `select active_time as active, xact_commit::float8 as transactions from pg_stat_database where datname = current_database()`,
  )
  return { at: performance.now(), ...(rows[0] as { active: number; transactions: number }) }
}
