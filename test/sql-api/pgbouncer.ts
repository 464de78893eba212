import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import type { Test } from 'tap'
import { freePort } from '../../src/db/embedded/free-port.ts'
import { eventually } from '../setup.ts'

/** Few enough that the transactions of one client are run on connections that others have used. */
const SERVER_CONNECTIONS = 4

/** Starts PgBouncer in transaction mode in front of a database, as docs/sql.md describes. Returns its URL. */
export async function startPooler(t: Test, databaseUrl: string): Promise<string> {
  const home = await mkdtemp(join(tmpdir(), 'ravenpost-pooler-'))
  const port = await freePort()
  const { hostname, port: serverPort, pathname, username, password } = new URL(databaseUrl)
  const name = pathname.slice(1)
  const server = `host=${hostname} port=${serverPort || 5432} dbname=${name} user=${username}`
  const secret = password && `password='${decodeURIComponent(password)}'`
  await writeFile(
    join(home, 'pgbouncer.ini'),
    `[databases]
${name} = ${server} ${secret} connect_query='set enable_seqscan = off; set random_page_cost = 1.1; set jit = off; set lock_timeout = ''2s''; set idle_in_transaction_session_timeout = ''10s''; set statement_timeout = ''9s''; set client_connection_check_interval = ''2s'''
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = ${SERVER_CONNECTIONS}
ignore_startup_parameters = extra_float_digits, options, idle_in_transaction_session_timeout
`,
  )
  await chmod(home, 0o755)
  // PgBouncer refuses to run as root; 65534 is the user nobody.
  const ids = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {}
  const child = spawn('pgbouncer', ['-q', join(home, 'pgbouncer.ini')], {
    ...ids,
    cwd: '/',
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  t.teardown(() => stop(child, home))
  const url = new URL(databaseUrl)
  url.host = `127.0.0.1:${port}`
  await eventually(() => answers(url.href))
  return url.href
}

async function stop(child: ChildProcess, home: string): Promise<void> {
  const gone = once(child, 'exit')
  if (child.exitCode === null && child.kill()) await gone
  await rm(home, { recursive: true, force: true })
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url })
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query('select')
    return true
  } catch {
    return false
  } finally {
    await client.end().catch(() => {})
  }
}
