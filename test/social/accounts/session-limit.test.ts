import { test } from 'tap'
import { grantAdmin } from '../../../src/social/accounts/admin.ts'
import { call, signIn } from '../../client.ts'
import { setup } from '../../setup.ts'

test("a session ends 90 days after sign-in, an admin's after 12 hours, however often it is refreshed", async (t) => {
  const { url, pool, as } = await setup(t)
  const age = (interval: string) =>
    pool.query(`update social.sessions set created_at = now() - $1::interval`, [interval])
  const refresh = (refreshToken: string) => call(url, 'POST', '/auth/refresh', { refreshToken })
  const lives = async (sessionId: string) => {
    const { rows } = await pool.query<{ days: number }>(
      'select extract(epoch from expires_at - now()) / 86400 as days from social.sessions where id = $1',
      [sessionId],
    )
    return Number(rows[0]?.days)
  }
  const ana = await as('ana')
  await age('80 days')
  const renewed = await refresh(ana.refreshToken)
  t.equal(renewed.status, 200)
  t.ok(Math.abs((await lives(ana.sessionId)) - 10) < 0.01, 'the rest of the 90 days')
  await age('91 days')
  t.match(await refresh(renewed.body.refreshToken), { status: 401, body: { code: 'BAD_REFRESH_TOKEN' } })

  await grantAdmin(pool, 'ana')
  const admin = await signIn(url, 'ana')
  t.ok(Math.abs((await lives(admin.sessionId)) - 0.5) < 0.01)
  await age('11 hours')
  const again = await refresh(admin.refreshToken)
  t.equal(again.status, 200)
  await age('13 hours')
  t.match(await refresh(again.body.refreshToken), { status: 401, body: { code: 'BAD_REFRESH_TOKEN' } })
})

test('REFRESH_TOKEN_TTL can exceed 90 days', async (t) => {
  const { url, pool, as } = await setup(t, { env: { REFRESH_TOKEN_TTL: String(200 * 86_400) } })
  const ana = await as('ana')
  await pool.query(`update social.sessions set created_at = now() - interval '100 days'`)
  t.equal((await call(url, 'POST', '/auth/refresh', { refreshToken: ana.refreshToken })).status, 200)
})
