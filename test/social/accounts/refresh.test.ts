import { request } from 'node:http'
import pg from 'pg'
import { type Test, test } from 'tap'
import { sessionIsLive } from '../../../src/social/sessions/tokens.ts'
import { type Answer, call, PASSWORD } from '../../client.ts'
import { eventually, setup, type TestSystem } from '../../setup.ts'

const refresh = (url: string, refreshToken: string) => call(url, 'POST', '/auth/refresh', { refreshToken })
const codeOf = ({ status, body }: Answer) => (status === 200 ? 'ok' : body.code)

/** Moves the uses of a session's tokens this many seconds into the past. */
async function pass({ pool }: TestSystem, sessionId: string, seconds: number): Promise<void> {
  await pool.query(
    'update social.refresh_tokens set used_at = used_at - make_interval(secs => $2::int) where session_id = $1::bigint',
    [sessionId, seconds],
  )
}

async function ended(t: Test, { db }: TestSystem, sessionId: string): Promise<void> {
  t.equal(await sessionIsLive(db, sessionId), false, 'the session is revoked')
}

test('two tabs that refresh with one token at once both succeed', async (t) => {
  const system = await setup(t)
  const { refreshToken, sessionId } = await system.as('ana')
  const tabs = await Promise.all(Array.from({ length: 2 }, () => refresh(system.url, refreshToken)))
  t.same(tabs.map(codeOf), ['ok', 'ok'])
  const tokens = tabs.map(({ body }) => body.refreshToken)
  t.not(tokens[0], tokens[1])
  await pass(system, sessionId, 3600)
  for (const token of tokens) t.equal(codeOf(await refresh(system.url, token)), 'ok', 'each with its own token')
})

test('a lost refresh answer can be requested again', async (t) => {
  const system = await setup(t)
  const { refreshToken, sessionId } = await system.as('ana')
  // Held up before it answers, and given up by its client meanwhile.
  const holder = new pg.Client({ connectionString: system.databaseUrl })
  await holder.connect()
  t.teardown(() => holder.end())
  await holder.query('begin')
  await holder.query('select from social.sessions where id = $1::bigint for update', [sessionId])
  const lost = request(`${system.url}/auth/refresh`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
  })
  lost.on('error', () => {})
  lost.end(JSON.stringify({ refreshToken }))
  await eventually(async () => {
    const { rowCount } = await system.pool.query(
      `select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    )
    return rowCount === 1
  })
  lost.destroy()
  await holder.query('commit')
  await eventually(async () => {
    const { rows } = await system.pool.query('select count(used_at)::int as used from social.refresh_tokens')
    return rows[0]?.used === 1
  })
  // Its use counts from the start of its transaction, which waited above.
  await system.pool.query('update social.refresh_tokens set used_at = now() where used_at is not null')

  const again = await refresh(system.url, refreshToken)
  t.equal(codeOf(again), 'ok')
  t.equal(codeOf(await refresh(system.url, again.body.refreshToken)), 'ok')
})

test('twelve fast reloads with the same cookie do not end the session', async (t) => {
  const system = await setup(t)
  await system.as('ana')
  const signedIn = await call(system.url, 'POST', '/auth/signin?cookie=true', { login: 'ana', password: PASSWORD })
  const cookieOf = ({ headers }: Answer) => headers.get('set-cookie')?.split(';')[0] ?? ''
  const cookie = cookieOf(signedIn)
  const reload = (sent: string) => call(system.url, 'POST', '/auth/refresh', undefined, { cookie: sent })
  const reloads = await Promise.all(Array.from({ length: 12 }, () => reload(cookie)))
  t.same(reloads.map(codeOf), Array(12).fill('ok'))
  const next = await reload(cookieOf(reloads[7] ?? signedIn))
  t.equal(codeOf(next), 'ok', 'whichever answer came last')
  const { body } = await call(system.url, 'GET', '/auth/me', undefined, {
    authorization: `Bearer ${next.body.accessToken}`,
  })
  t.equal(body.username, 'ana')
})

test('a refresh token used again after ten seconds ends its session', async (t) => {
  const system = await setup(t)
  const { refreshToken, sessionId } = await system.as('ana')
  const first = await refresh(system.url, refreshToken)
  await pass(system, sessionId, 5)
  t.equal(codeOf(await refresh(system.url, refreshToken)), 'ok')
  await pass(system, sessionId, 6)
  t.equal(codeOf(await refresh(system.url, refreshToken)), 'REFRESH_TOKEN_REUSED', 'counted from its first use')
  await ended(t, system, sessionId)
  t.equal(codeOf(await refresh(system.url, first.body.refreshToken)), 'BAD_REFRESH_TOKEN')
})

test('a refresh token older than the predecessor of the current one ends its session at any time', async (t) => {
  const system = await setup(t)
  const { refreshToken, sessionId } = await system.as('ana')
  const first = await refresh(system.url, refreshToken)
  const second = await refresh(system.url, first.body.refreshToken)
  t.equal(codeOf(second), 'ok')
  t.equal(codeOf(await refresh(system.url, refreshToken)), 'REFRESH_TOKEN_REUSED')
  await ended(t, system, sessionId)
  t.equal(codeOf(await refresh(system.url, second.body.refreshToken)), 'BAD_REFRESH_TOKEN')
})

test('after sign-out the last token is refused immediately', async (t) => {
  const system = await setup(t)
  const ana = await system.as('ana')
  t.equal(codeOf(await refresh(system.url, ana.refreshToken)), 'ok')
  t.equal((await ana.request('POST', '/auth/signout', { refreshToken: ana.refreshToken })).status, 204)
  t.equal(codeOf(await refresh(system.url, ana.refreshToken)), 'BAD_REFRESH_TOKEN')
})

test('a refresh without a token in body or cookie is refused', async (t) => {
  const { url } = await setup(t)
  for (const body of [undefined, {}])
    t.match(await call(url, 'POST', '/auth/refresh', body), { status: 401, body: { code: 'NO_REFRESH_TOKEN' } })
})
