import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { type Test, test } from 'tap'
import { variables } from '../../src/config.ts'
import { freePort } from '../../src/db/embedded/free-port.ts'
import type { Notification } from '../../src/protocol/notification.ts'
import { grantAdmin } from '../../src/social/accounts/admin.ts'
import { call } from '../client.ts'
import { eventually, setup } from '../setup.ts'
import { startOpenIdProvider } from './openid.ts'

const root = join(import.meta.dirname, '..', '..')
const run = promisify(execFile)

/** The code blocks of the page, by the word after the language: a file name, or the purpose of the block. */
async function readBlocks(): Promise<Map<string, string>> {
  const page = await readFile(join(root, 'docs/beside-your-app.md'), 'utf8')
  const blocks = [...page.matchAll(/^```(\w+)(?: (\S+))?\n(.*?)^```$/gms)]
  return new Map(blocks.map(([, language = '', name = language, text = '']) => [name, text]))
}

function block(blocks: Map<string, string>, name: string): string {
  const text = blocks.get(name)
  if (text === undefined) throw new Error(`docs/beside-your-app.md has no block ${name}`)
  return text
}

/** A folder with the files of the page, and the packages that they import. */
async function writeFiles(t: Test, blocks: Map<string, string>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ravenpost-beside-'))
  t.teardown(() => rm(folder, { recursive: true }))
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
  for (const [name, text] of blocks) if (name.endsWith('.mjs')) await writeFile(join(folder, name), text)
  return folder
}

test('an Express application and an OpenID provider work with Ravenpost as docs/beside-your-app.md describes', async (t) => {
  const blocks = await readBlocks()
  const values = Object.fromEntries(
    [...block(blocks, 'environment').matchAll(/^export (\w+)=(\S+)$/gm)].map(([, name = '', value = '']) => [
      name,
      value,
    ]),
  )
  t.same(
    Object.keys(values).filter((name) => !(name in variables)),
    [],
    'the variables exist',
  )
  const audience = values.AUTH_AUDIENCE ?? ''
  const login = await startOpenIdProvider(t, audience)
  const env = { ...values, AUTH_JWKS_URL: login.jwksUri, AUTH_ISSUER: login.issuer }
  const system = await setup(t, { env, worker: true, push: true })

  // The application's own tables, in a database that both share, with a role of its own.
  const role = `shop_${process.pid}`
  await system.pool.query(`
    create role ${role} login password 'shop';
    create schema shop authorization ${role};
    create table shop.users (id text primary key, name text not null, email text not null, picture text);
    create table shop.orders (id bigint primary key, user_id text not null references shop.users, paid boolean, shipped boolean);
    alter table shop.users owner to ${role}; alter table shop.orders owner to ${role};
    alter role ${role} set search_path = shop;
    insert into shop.users select 'user-' || n, 'User ' || n, 'user' || n || '@example.org', null from generate_series(1, 2500) n;
    insert into shop.orders values (1, 'user-7'), (2, 'user-7')`)
  t.teardown(() => dropRole(system.databaseUrl, role))
  await system.pool.query(block(blocks, 'sql').replace('shop', role))
  const shopUrl = Object.assign(new URL(system.databaseUrl), { username: role, password: 'shop' }).href

  const folder = await writeFiles(t, blocks)
  await system.as('rita')
  await system.pool.query(`update social.users set username = 'admin' where username = 'rita'`)
  await grantAdmin(system.pool, 'admin')
  const shell = { ...process.env, NODE_OPTIONS: '', RAVENPOST: system.url, ADMIN_PASSWORD: 'correct horse battery' }
  const { stdout } = await run('bash', ['-euc', block(blocks, 'token')], { env: shell })
  const serverEnv = { ...shell, RAVENPOST_TOKEN: JSON.parse(stdout).token, DATABASE_URL: shopUrl }

  const backfill = async () => (await run(process.execPath, [join(folder, 'backfill.mjs')], { env: serverEnv })).stdout
  t.same((await backfill()).trim().split('\n'), [
    '1000 users, 1000 of them new',
    '1000 users, 1000 of them new',
    '500 users, 500 of them new',
  ])
  t.match(await backfill(), /1000 users, 0 of them new/, 'again: nothing new')

  const app = await startApp(t, join(folder, 'app.mjs'), serverEnv)
  t.equal((await call(app, 'PUT', '/users/new%2Fone', { name: 'Nora', email: 'nora@example.org' })).status, 204)
  t.equal(
    (
      await call(app, 'PUT', '/users/user-7', {
        name: 'Ana',
        email: 'ana@example.org',
        picture: 'https://cdn.example.org/7.png',
      })
    ).status,
    204,
  )

  // The page, as signed in at the provider.
  const accessToken = await login.signIn('user-7')
  const { openInbox } = await import(join(folder, 'page.mjs'))
  const shown: Notification[] = []
  let unread = -1
  const socket: WebSocket = await openInbox(system.url, accessToken, (items: Notification[], count: number) => {
    shown.push(...items)
    unread = count
  })
  t.teardown(() => socket.close())
  t.equal(unread, 0)
  const ask = (token: string) => call(system.url, 'GET', '/auth/me', undefined, { authorization: `Bearer ${token}` })
  t.match((await ask(accessToken)).body, {
    displayName: 'Ana',
    avatarUrl: 'https://cdn.example.org/7.png',
    emailVerified: true,
  })

  for (const what of ['ship', 'ship', 'pay']) t.equal((await call(app, 'POST', `/orders/1/${what}`)).status, 204, what)
  await eventually(() => unread === 2)
  t.same(shown.map(({ type }) => type).sort(), ['order.paid', 'order.shipped'])
  await eventually(
    async () =>
      (await system.pool.query('select from notify.notifications where delivered_at is not null')).rowCount === 2,
  )

  t.match((await ask(await login.signIn('somebody else'))).body, { username: /^user_/ }, 'made at first sight')
  const closed = new Promise<number>((resolve) => socket.addEventListener('close', ({ code }) => resolve(code)))
  t.equal((await call(app, 'DELETE', '/users/user-7')).status, 204)
  t.equal(await closed, 4403)
  t.equal((await ask(accessToken)).status, 401)
})

async function startApp(t: Test, file: string, env: NodeJS.ProcessEnv): Promise<string> {
  const port = await freePort()
  const app: ChildProcess = spawn(process.execPath, [file], { env: { ...env, PORT: String(port) }, stdio: 'inherit' })
  t.teardown(async () => {
    const ended = new Promise((resolve) => app.once('exit', resolve))
    app.kill()
    await ended
  })
  const url = `http://127.0.0.1:${port}`
  await eventually(() =>
    fetch(url).then(
      () => true,
      () => false,
    ),
  )
  return url
}

async function dropRole(databaseUrl: string, role: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  await client.query(`drop owned by ${role} cascade; drop role ${role}`)
  await client.end()
}
