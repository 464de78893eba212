import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Browser, chromium } from 'playwright-core'
import type { Test } from 'tap'
import { build } from 'vite'

const EXECUTABLES = [process.env.CHROMIUM, '/usr/bin/chromium', '/usr/bin/google-chrome']
const executablePath = EXECUTABLES.find((path) => path !== undefined && existsSync(path))

/** Options of tests that need a browser: skips them if none is installed, unless the environment requires one. */
export const needsBrowser = { skip: !executablePath && !process.env.CI && 'needs Chromium: apt-get install chromium' }

export async function openBrowser(t: Test): Promise<Browser> {
  const browser = await chromium.launch({
    ...(executablePath && { executablePath }),
    args: ['--no-sandbox', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  })
  t.teardown(() => browser.close())
  return browser
}

const react = fileURLToPath(new URL('../../client/node_modules', import.meta.url))

/** What an app with a strict policy sends: no inline scripts, no inline styles. */
const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src * data:; connect-src *; base-uri 'none'; form-action 'none'"

const TYPES: Record<string, string> = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css' }

/** Builds the app of this folder with Vite and serves it; its address. */
export async function serveApp(t: Test, folder: string, pages: string[] = ['index.html']): Promise<string> {
  const outDir = await mkdtemp(join(tmpdir(), 'ravenpost-app-'))
  t.teardown(() => rm(outDir, { recursive: true, force: true }))
  await build({
    root: folder,
    configFile: false,
    base: './',
    logLevel: 'error',
    // The copy at the top is of another version.
    resolve: {
      alias: ['react', 'react-dom'].map((name) => ({
        find: new RegExp(`^${name}(?=/|$)`),
        replacement: join(react, name),
      })),
    },
    build: { outDir, emptyOutDir: true, rollupOptions: { input: pages.map((page) => join(folder, page)) } },
  })
  const server = createServer(async ({ url = '/' }, response) => {
    const { pathname } = new URL(url, 'http://localhost')
    const file = join(outDir, pathname === '/' ? 'index.html' : pathname)
    const body = await readFile(file).catch(() => undefined)
    response.writeHead(body ? 200 : 404, {
      'content-type': TYPES[extname(file)] ?? 'application/octet-stream',
      'content-security-policy': POLICY,
    })
    response.end(body)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => new Promise((resolve) => server.close(resolve)))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}
