import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer as createTcpServer } from 'node:net'
import { join } from 'node:path'
import { type Test, test } from 'tap'
import { createServer } from 'vite'
import { needsBrowser, openBrowser } from '../client/browser.ts'
import { PASSWORD, signUp } from '../client.ts'
import { TestSocket } from '../push/socket.ts'
import { eventually, setup, type TestSystem } from '../setup.ts'

const example = join(import.meta.dirname, '../../examples/front-end')
const page = readFileSync(join(import.meta.dirname, '../../docs/front-end.md'), 'utf8')
const block = (language: string) => new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\`\`\``).exec(page)?.[1] ?? ''

const noNginx = spawnSync('nginx', ['-v']).status !== 0 && 'nginx is missing: apt-get install nginx'
const skipped = needsBrowser.skip || noNginx

test('the example works behind the Vite proxy of docs/front-end.md', needsBrowser, async (t) => {
  t.equal(block('js').replace('// vite.config.js\n', ''), readFileSync(join(example, 'vite.config.js'), 'utf8'))
  const system = await behindPrefix(t)
  const config = join(t.testdir(), 'vite.config.mjs')
  writeFileSync(config, block('js').replace('http://127.0.0.1:3000', system.url))
  const vite = await createServer({
    ...(await import(config)).default,
    root: example,
    configFile: false,
    logLevel: 'error',
    cacheDir: join(t.testdir(), 'cache'),
  })
  await vite.listen(0)
  t.teardown(() => vite.close())
  await tryExample(t, system, vite.resolvedUrls?.local[0]?.replace(/\/$/, '') ?? '')
})

test('the example works behind the nginx block of docs/front-end.md', { skip: skipped }, async (t) => {
  const origin = `http://127.0.0.1:${await freePort()}`
  const system = await behindPrefix(t, { PUBLIC_URL: origin, TRUSTED_PROXIES: 'loopback' })
  const [, map = ''] = /`(map \$http_upgrade[^`]*)`/.exec(page) ?? []
  const server = block('nginx').replace('http://127.0.0.1:3000', system.url).replace('/srv/app', example)
  await startNginx(t, `${map} server { listen ${new URL(origin).host}; ${server} }`, origin)
  await tryExample(t, system, origin)
})

test('docs/nginx.conf leads to the api and the push nodes, and to no metrics', { skip: noNginx }, async (t) => {
  const { url, as } = await setup(t, { worker: true, push: true, env: { TRUSTED_PROXIES: 'loopback' } })
  const origin = `http://127.0.0.1:${await freePort()}`
  const file = readFileSync(join(import.meta.dirname, '../../docs/nginx.conf'), 'utf8')
  const { host } = new URL(url)
  const http = file.replace(/127\.0\.0\.1:300\d/g, host).replace('listen 80', `listen ${new URL(origin).host}`)
  await startNginx(t, http, origin, '/healthz')
  for (const path of ['/metrics', '/readyz']) t.equal((await fetch(origin + path)).status, 403, path)
  const [ana, ben] = [await as('ana'), await signUp(origin, 'ben')]
  const socket = await TestSocket.open(t, `${origin.replace('http', 'ws')}/ws`)
  socket.send({ type: 'hello', token: ana.accessToken })
  await socket.next('synced')
  await ben.follow(ana.id)
  t.match((await socket.next('changes')).upserts, [{ type: 'user.followed' }])
})

async function startNginx(t: Test, http: string, origin: string, probe = '/'): Promise<void> {
  const folder = t.testdir()
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((n) => `${n}_temp_path ${folder}/${n};`)
  const config = join(folder, 'nginx.conf')
  writeFileSync(
    config,
    `${process.getuid?.() === 0 ? 'user root;' : ''} daemon off; worker_processes 1; pid ${folder}/pid; error_log stderr error;
     events {}
     http { ${temporary.join(' ')} access_log off; types { text/html html; text/javascript js; } ${http} }`,
  )
  const nginx = spawn('nginx', ['-c', config, '-e', 'stderr'], { stdio: ['ignore', 'ignore', 'pipe'] })
  await run(t, nginx, origin + probe)
}

function behindPrefix(t: Test, env: Record<string, string> = {}): Promise<TestSystem> {
  return setup(t, { worker: true, push: true, env: { BASE_PATH: '/api', ...env } })
}

/** Acts like a user: signs in, sees a like arrive, stays signed in, reads, and likes. */
async function tryExample(t: Test, { as }: TestSystem, origin: string): Promise<void> {
  const [ana, ben] = [await as('ana'), await as('ben')]
  const [hers, his] = [await ana.post('Morning at the harbour'), await ben.post('Evening at the harbour')]
  const browser = await openBrowser(t)
  const window = await browser.newPage()
  const text = (selector: string) => window.locator(selector).textContent()
  // Live counts begin with this frame.
  const watched = new Promise<void>((resolve) =>
    window.on('websocket', (socket) =>
      socket.on('framesent', ({ payload }) => String(payload).includes('"watch"') && resolve()),
    ),
  )
  await window.goto(`${origin}/posts/${hers.id}`)
  await window.getByPlaceholder('Username').fill('ana')
  await window.getByPlaceholder('Password').fill('not this one')
  await window.getByRole('button', { name: 'Sign in' }).click()
  await eventually(async () => /wrong|password/i.test((await text('output')) ?? ''))
  await window.getByPlaceholder('Password').fill(PASSWORD)
  await window.getByRole('button', { name: 'Sign in' }).click()
  await window.getByText('Evening at the harbour').waitFor()
  await watched
  await ben.like(hers.id)
  await eventually(async () => (await text('#badge')) === '1')
  await eventually(async () => (await text(`#like-${hers.id}`)) === 'Like 1')

  await window.reload()
  await window.getByText('Evening at the harbour').waitFor()
  // The cookie keeps her signed in.
  await eventually(async () => (await text('#badge')) === '1')
  await window.getByRole('button', { name: 'Bell' }).click()
  await window.getByRole('link', { name: 'ben liked your post' }).click()
  await eventually(async () => (await text('#badge')) === '0')
  await eventually(async () => {
    const { unreadCount, unseenCount } = await ana.get('/notifications/unread-count')
    return unreadCount === 0 && unseenCount === 0
  })
  await window.locator(`#like-${his.id}`).click()
  await eventually(async () => (await ben.get('/notifications/unread-count')).unreadCount === 1)
  await ben.comment(hers.id, 'hello @ana')
  await window.locator('#toast').getByText('ben mentioned you in a comment').waitFor()
}

async function run(t: Test, child: ChildProcess, url: string): Promise<void> {
  t.teardown(async () => {
    if (child.exitCode !== null) return
    child.kill('SIGQUIT')
    await once(child, 'exit')
  })
  let errors = ''
  child.stderr?.on('data', (chunk) => {
    errors += chunk
  })
  await eventually(async () => {
    if (child.exitCode !== null) throw new Error(errors)
    return (await fetch(url).catch(() => undefined))?.status === 200
  })
}

async function freePort(): Promise<number> {
  const server = createTcpServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
