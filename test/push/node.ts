import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import pg from 'pg'
import { pino } from 'pino'
import type { Test } from 'tap'
import { type App, closeApp, createApp } from '../../src/app.ts'
import type { LiveContent } from '../../src/protocol/live-content.ts'
import type { Limits } from '../../src/push/limits.ts'
import { type PushNode, startPush } from '../../src/push/server.ts'
import { live } from '../../src/social/live.ts'
import { signAccessToken } from '../../src/social/sessions/tokens.ts'
import { makeUsers } from '../notify/dispatch/events.ts'
import { cloneDatabase, testConfig } from '../setup.ts'
import { TestSocket } from './socket.ts'

export type Options = {
  databaseUrl?: string
  env?: Record<string, string>
  limits?: Partial<Limits>
  content?: LiveContent
}

/** Starts a push node without other roles on its own port, on a fresh database by default. */
export type TestNode = {
  app: App
  push: PushNode
  databaseUrl: string
  url: string
  /** A new user with inbox and session. */
  user(name: string): Promise<TestUser>
}

export type TestUser = {
  id: string
  sessionId: string
  token: string
  /** Connects to a node, by default the user's first one, and sends hello. */
  connect(options?: { since?: string; node?: TestNode }): Promise<TestSocket>
}

export async function startNode(
  t: Test,
  { databaseUrl, env = {}, limits = {}, content = live }: Options = {},
): Promise<TestNode> {
  const database = databaseUrl ?? (await cloneDatabase(t))
  const config = testConfig(database, env)
  const app = createApp(config, pino({ level: process.env.TEST_LOG ?? 'silent' }))
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const push = await startPush(app, server, content, { limits })
  t.teardown(async () => {
    await push.close()
    await new Promise((resolve) => server.close(resolve))
    await closeApp(app)
  })
  const { port } = server.address() as AddressInfo
  const node: TestNode = { app, push, databaseUrl: database, url: `ws://127.0.0.1:${port}/ws`, user }
  return node

  async function user(name: string): Promise<TestUser> {
    const [id = ''] = await makeUsers(app, [name])
    const sessionId = await signIn(app, id)
    const token = signAccessToken(config, { userId: id, sessionId, role: 'user' })
    return {
      id,
      sessionId,
      token,
      async connect(options = {}) {
        const socket = await TestSocket.open(t, (options.node ?? node).url)
        socket.send({ type: 'hello', token, since: options.since })
        return socket
      },
    }
  }
}

/** A further session of a user, as a second device has it. */
export async function signIn(app: App, userId: string): Promise<string> {
  const { rows } = await app.pool.query<{ id: string }>(
    `insert into social.sessions (user_id, expires_at) values ($1, now() + interval '1 day') returning id`,
    [userId],
  )
  return rows[0]?.id ?? ''
}

/** Events for one user, each a notification of its own, with `bytes` of data. */
export async function sendTo(app: App, userId: string, count = 1, bytes = 0): Promise<void> {
  await app.pool.query(
    `insert into notify.outbox (counted, action, source_id, type, recipient_id, data)
     select true, 'send', 'send:' || gen_random_uuid(), 'test.sent', $1, jsonb_build_object('data', jsonb_build_object('filler', repeat('x', $3)))
     from generate_series(1, $2::int)`,
    [userId, count, bytes],
  )
}

/** Counts statements of this process whose name or text contains this, from now on. */
export function watchQueries(t: Test): (part: string) => number {
  const sent: string[] = []
  const { query } = pg.Client.prototype
  t.teardown(() => {
    pg.Client.prototype.query = query
  })
  pg.Client.prototype.query = function (this: pg.Client, ...args: unknown[]) {
    const [statement] = args
    sent.push(typeof statement === 'string' ? statement : JSON.stringify(statement))
    return Reflect.apply(query, this, args)
  }
  return (part) => sent.filter((statement) => statement.includes(part)).length
}
