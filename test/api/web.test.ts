import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import type { Test } from 'tap'
import { test } from 'tap'
import { prefersHtml } from '../../src/api/web.ts'
import { prepareWeb } from '../../src/api/web-build.ts'
import { setup } from '../setup.ts'

const BROWSER = 'text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8'

test('a GET that prefers HTML gets the app at any path, other requests get the API, and assets are cached forever', async (t) => {
  const dist = await distFolder(t)
  const web = { dist, build: () => ({ running: false }) }
  const { url, as } = await setup(t, { web, env: { PUBLIC_URL: 'http://example.org/social' } })
  const ana = await as('ana')
  const { id } = await ana.post('Good morning')
  const get = (path: string, headers: Record<string, string>) => fetch(url + path, { headers })

  for (const path of [
    '/',
    `/posts/${id}`,
    '/notifications',
    '/settings/quiet',
    '/users/by-name/ana',
    '/console/tables/notify.inbox',
  ]) {
    const page = await get(path, { accept: BROWSER })
    t.equal(page.status, 200, path)
    const html = await page.text()
    t.match(html, '<title>Ravenpost</title>', path)
    t.match(html, '<base href="/social/"', 'the path of PUBLIC_URL')
    t.match(page.headers.get('vary'), 'Accept', 'caches keep page and JSON apart')
    t.equal(page.headers.get('cache-control'), 'no-cache')
    t.notMatch(page.headers.get('content-security-policy'), 'unsafe')
  }

  const post = await get(`/posts/${id}`, { accept: 'application/json', authorization: `Bearer ${ana.accessToken}` })
  t.match(await post.json(), { id, body: 'Good morning' })
  t.match(post.headers.get('vary'), 'Accept')
  t.equal((await get(`/posts/${id}`, { accept: '*/*' })).status, 401, 'curl gets the API')
  t.equal((await get('/no-such-file.png', { accept: BROWSER })).status, 404, 'no file is a page')
  t.match(await (await get('/docs/', { accept: BROWSER })).text(), /swagger/i, 'public pages keep their paths')
  t.match(await (await get('/openapi.json', { accept: BROWSER })).json(), { openapi: '3.1.0' })
  t.equal((await fetch(`${url}/`, { method: 'POST', headers: { accept: BROWSER } })).status, 404, 'only GET')

  const asset = await fetch(`${url}/assets/index-1a2b.js`, { headers: { 'accept-encoding': 'br' } })
  t.equal(asset.headers.get('cache-control'), 'public, max-age=31536000, immutable')
  t.equal(asset.headers.get('content-type'), 'application/javascript; charset=utf-8')
  const sent = await fetch(`${url}/assets/index-1a2b.js`, { headers: { 'accept-encoding': 'identity' } })
  t.equal(await sent.text(), 'export {}')
  t.equal(asset.headers.get('content-encoding'), 'br')
  t.equal((await fetch(`${url}/theme.js`)).headers.get('cache-control'), 'no-cache')
  t.equal((await fetch(`${url}/assets/gone.js`)).status, 404)
  t.equal((await fetch(`${url}/assets/..%2f..%2fpackage.json`)).status, 400, 'nothing outside the folder')
})

test('until the web app is built, a page shows the progress, or why the build failed', async (t) => {
  const state: { running: boolean; log?: string } = { running: true }
  const dist = await mkdtemp(join(tmpdir(), 'ravenpost-dist-'))
  t.teardown(() => rm(dist, { recursive: true }))
  const { url } = await setup(t, { web: { dist, build: () => state } })
  const page = async () => (await fetch(url, { headers: { accept: BROWSER } })).text()
  t.match(await page(), 'Building the web app')
  t.match(await page(), 'http-equiv="refresh"')
  Object.assign(state, { running: false, log: 'app/main.tsx: <Oops> is not defined' })
  t.match(await page(), '&#60;Oops&#62; is not defined')
  t.match(await page(), 'npm run web:build')
  await writeFile(join(dist, 'index.html'), INDEX)
  t.match(await page(), '<title>Ravenpost</title>', 'a build that is made later is served at once')
})

test('a build that is not allowed to run leaves the folder unchanged', async (t) => {
  const closes: string[] = []
  const log = pino({ level: 'silent' })
  t.same(prepareWeb(false, log, (part) => closes.push(part)).build(), { running: false })
  t.same(closes, [])
})

test('the Accept header decides between HTML and JSON', async (t) => {
  for (const accept of [BROWSER, 'text/html', 'text/html, application/json', 'application/json;q=0.5, text/html'])
    t.ok(prefersHtml(accept), accept)
  t.notOk(prefersHtml(undefined))
  for (const accept of ['*/*', 'application/json', 'application/json, text/html', 'text/html;q=0'])
    t.notOk(prefersHtml(accept), accept)
})

const INDEX = '<!doctype html><base href="/" data-demo="false" data-push="false"><title>Ravenpost</title>'

async function distFolder(t: Test): Promise<string> {
  const dist = await mkdtemp(join(tmpdir(), 'ravenpost-dist-'))
  t.teardown(() => rm(dist, { recursive: true }))
  await mkdir(join(dist, 'assets'))
  const files = {
    'index.html': INDEX,
    'theme.js': '',
    'assets/index-1a2b.js': 'export {}',
    'assets/index-1a2b.js.br': '',
  }
  for (const [name, content] of Object.entries(files)) await writeFile(join(dist, name), content)
  return dist
}
