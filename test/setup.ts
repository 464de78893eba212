import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Kysely } from 'kysely'
import pg from 'pg'
import { type Logger, pino } from 'pino'
import type { Test } from 'tap'
import { createServer } from '../src/api/server.ts'
import type { Web } from '../src/api/web-build.ts'
import { type App, closeApp, createApp } from '../src/app.ts'
import { type Config, readConfig } from '../src/config.ts'
import type { DB } from '../src/db/tables.ts'
import type { SenderOptions } from '../src/notify/channels/senders.ts'
import type { Limits } from '../src/push/limits.ts'
import { type PushNode, startPush } from '../src/push/server.ts'
import { live } from '../src/social/live.ts'
import { startWorker, type Worker } from '../src/worker/start.ts'
import { tasks } from '../workers/index.ts'
import { signUp, type TestClient } from './client.ts'

export type Options = {
  /** Variables of the environment, over the defaults of tests. */
  env?: Record<string, string>
  /** Over the configuration that these make. */
  config?: Partial<Config>
  /** Runs the worker role in this process. */
  worker?: boolean
  /** Runs a push node on the server's port, with these limits. */
  push?: boolean | Partial<Limits>
  /** For mail servers and push services in the test's process. */
  senders?: SenderOptions
  /** Replaces the default window lengths. 0: every event is shown at once, for tests of other behaviour. */
  windowSeconds?: number
  /** Served at `/`. */
  web?: Web
  /** Instead of silence, or TEST_LOG's level. */
  log?: Logger
}

export type TestSystem = {
  app: App
  config: Config
  db: Kysely<DB>
  pool: pg.Pool
  /** Of the database. */
  databaseUrl: string
  /** Of the server: http://127.0.0.1:port */
  url: string
  server: FastifyInstance
  worker: Worker | undefined
  push: PushNode | undefined
  /** Signs a new user up over HTTP; the name is also the username. */
  as(name: string): Promise<TestClient>
}

/** A fresh database cloned from the migrated template, and a server on a free port; everything ends with the test. */
export async function setup(t: Test, options: Options = {}): Promise<TestSystem> {
  const databaseUrl = await cloneDatabase(t, options)
  return startSystem(t, databaseUrl, options)
}

/** Another process' worth of roles on the same database, for tests with several nodes. */
export async function startSystem(
  t: Test,
  databaseUrl: string,
  {
    env = {},
    config: changes = {},
    worker,
    push,
    senders,
    web,
    log = pino({ level: process.env.TEST_LOG ?? 'silent' }),
  }: Options = {},
): Promise<TestSystem> {
  const config = { ...testConfig(databaseUrl, env), ...changes }
  const app = createApp(config, log)
  const server = await createServer(app, { web })
  await server.listen({ host: '127.0.0.1', port: 0 })
  const { port } = server.server.address() as AddressInfo
  const url = `http://127.0.0.1:${port}`
  const pushNode = push ? await startPush(app, server.server, live, push === true ? {} : { limits: push }) : undefined
  const workerRole = worker ? await startWorker(app, tasks, senders) : undefined
  t.teardown(async () => {
    await pushNode?.close()
    await server.close()
    await workerRole?.close()
    await closeApp(app)
  })
  const as = (name: string) => signUp(url, name)
  return { app, config, db: app.db, pool: app.pool, databaseUrl, url, server, worker: workerRole, push: pushNode, as }
}

export function testConfig(databaseUrl: string, env: Record<string, string> = {}): Config {
  return readConfig({
    DATABASE_URL: databaseUrl,
    JWT_SECRET: 'a secret that only the tests know, 32 bytes and more',
    LOG_LEVEL: 'silent',
    SWEEP_INTERVAL_MS: '500',
    POLL_INTERVAL_MS: '50',
    RATE_LIMIT_SCALE: '1000',
    POOL_SIZE: '10',
    // Each opens a connection; half of the default.
    WORKER_CONCURRENCY: '4',
    ...env,
  })
}

/** The url of a new database with our schema; dropped when the test ends. */
export async function cloneDatabase(t: Test, { windowSeconds }: Pick<Options, 'windowSeconds'> = {}): Promise<string> {
  const { TEST_DATABASE_URL: serverUrl, TEST_TEMPLATE: template } = process.env
  if (!serverUrl || !template)
    throw new Error('tests need a prepared server: run `npm test -- test/path/to/file.test.ts`')
  const name = `${template}_${process.pid}_${Math.random().toString(36).slice(2, 8)}`
  // Copied as files, in half the CPU time: the log and the buffers need not hold all of it, where nothing has to be durable.
  await onServer(serverUrl, `create database ${name} template ${template} strategy file_copy`)
  t.teardown(() => dropDatabase(serverUrl, name))
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  if (windowSeconds !== undefined)
    await onServer(url.href, `update notify.types set window_seconds = ${windowSeconds} where window_seconds > 0`)
  return url.href
}

/** A pool ends before the server has closed its connections, which may fail when they are cut off. One that is left open is a leak. */
async function dropDatabase(serverUrl: string, name: string): Promise<void> {
  const client = new pg.Client({ connectionString: serverUrl })
  await client.connect()
  try {
    await eventually(async () => {
      const open = `select from pg_stat_activity where datname = $1 and backend_type = 'client backend'`
      return (await client.query(open, [name])).rowCount === 0
    })
    await client.query(`drop database ${name}`)
  } finally {
    await client.end()
  }
}

async function onServer(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  await client.query(statement)
  await client.end()
}

/**
 * Repeats `condition` until it returns a value, and returns that. Fails after `seconds`, a long time because the machine
 * may be busy.
 */
export async function eventually<T>(
  condition: () => Promise<T | undefined | false | null> | T | undefined | false | null,
  seconds = 60,
): Promise<T> {
  const deadline = Date.now() + seconds * 1000
  for (;;) {
    const found = await condition()
    if (found) return found
    if (Date.now() > deadline) throw new Error(`not met within ${seconds} s: ${condition}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
