import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { BrowserContext, Page } from 'playwright-core'
import { buildIfStale, DIST } from '../../src/api/web-build.ts'
import { signAccessToken } from '../../src/social/sessions/tokens.ts'
import { call } from '../client.ts'
import { settled } from '../settled.ts'
import type { TestSystem } from '../setup.ts'

/** Compressed bytes that the first page loads. */
export async function firstRoute(): Promise<{ scripts: number; styles: number }> {
  await buildIfStale()
  const index = readFileSync(join(DIST, 'index.html'), 'utf8')
  const sizeOf = (extension: string) =>
    [...index.matchAll(new RegExp(`(?:src|href)="\\./(assets/[^"]+\\.${extension})"`, 'g'))]
      .map(([, file = '']) => gzipSync(readFileSync(join(DIST, file))).length)
      .reduce((sum, size) => sum + size, 0)
  return { scripts: sizeOf('js'), styles: sizeOf('css') }
}

/** Stops a page's scripts, as a browser stops a tab: without an event, so that it keeps its lock and its socket. */
export async function pause(context: BrowserContext, page: Page): Promise<() => Promise<void>> {
  const debug = await context.newCDPSession(page)
  await debug.send('Debugger.enable')
  const paused = new Promise((resolve) => debug.once('Debugger.paused', resolve))
  await debug.send('Debugger.pause')
  await paused
  return async () => {
    await debug.send('Debugger.resume')
    await debug.detach()
  }
}

/** `renders`: of the post or of the toast, whichever has more. */
export type Rendered = { renders: number; toasts: number; seconds: number }

/** Measures the author's page while this many users like a post on it over HTTP, ten at a time. */
export async function renderLikes(system: TestSystem, page: Page, postId: string, count: number): Promise<Rendered> {
  await page.locator(`[data-post="${postId}"]`).waitFor()
  await page.evaluate(() => {
    const seen = { post: 0, toast: 0, toasts: 0, from: 0, to: 0 }
    Object.assign(globalThis, { seen })
    const observer = new MutationObserver((mutations) => {
      const isWithin = (part: string) =>
        mutations.some(({ target }) => (target instanceof Element ? target : target.parentElement)?.closest(part))
      if (isWithin('[data-post]')) seen.post += 1
      if (isWithin('[data-toast]')) seen.toast += 1
      seen.from ||= performance.now()
      seen.to = performance.now()
      for (const { addedNodes } of mutations)
        for (const node of addedNodes)
          if (node instanceof Element && node.matches('[data-toast]')) {
            seen.toasts += 1
            // A toast under the pointer stays, however long the likes take.
            node.dispatchEvent(new PointerEvent('pointerover', { bubbles: true }))
          }
    })
    observer.observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true })
  })
  await likeBy(system, postId, count)
  await page.locator(`[data-likes="${count}"]`).waitFor()
  await settled(system)
  await page
    .locator('[data-toast]')
    .getByText(`${count - 2} others`)
    .waitFor()
  const seen: Record<'post' | 'toast' | 'toasts' | 'from' | 'to', number> = await page.evaluate('seen')
  const { post, toast, toasts, from, to } = seen
  return { renders: Math.max(post, toast), toasts, seconds: (to - from) / 1000 }
}

async function likeBy({ pool, url, config }: TestSystem, postId: string, count: number): Promise<void> {
  const { rows } = await pool.query<{ id: string }>(
    `insert into social.users (username, email, password_hash, display_name)
     select 'fan_' || n, 'fan_' || n || '@example.org', '!', 'Fan ' || n from generate_series(1, $1::int) n returning id`,
    [count],
  )
  const waiting = rows.map(({ id }) => id)
  const next = async () => {
    for (let fan = waiting.pop(); fan; fan = waiting.pop()) {
      const token = signAccessToken(config, { userId: fan, sessionId: fan, role: 'user' })
      const authorization = `Bearer ${token}`
      const { status } = await call(url, 'POST', `/posts/${postId}/like`, undefined, { authorization })
      if (status >= 300) throw new Error(`answered ${status}`)
    }
  }
  await Promise.all(Array.from({ length: 10 }, next))
}
