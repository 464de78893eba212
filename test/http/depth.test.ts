import { test } from 'tap'
import { call } from '../client.ts'
import { setup } from '../setup.ts'

const nested = (levels: number) => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`
const inArrays = (levels: number) => `${'['.repeat(levels)}${']'.repeat(levels)}`

test('JSON nested deeper than a hundred levels is refused everywhere', async (t) => {
  const { url, as, pool } = await setup(t)
  const ana = await as('ana')
  await pool.query(`update social.users set role = 'admin'`)
  const { body } = await call(url, 'POST', '/auth/refresh', { refreshToken: ana.refreshToken })
  const admin = (method: string, path: string, text: string) =>
    call(url, method, path, text, { authorization: `Bearer ${body.accessToken}`, 'idempotency-key': 'a-key' })

  const send = (data: string) => `{"recipientId":"${ana.id}","title":"T","message":"M","data":${data}}`
  for (const levels of [100, 5_000, 20_000])
    for (const value of [nested(levels), inArrays(levels)]) {
      const bodies: [string, string, string][] = [
        ['POST', '/notifications/send', send(value)],
        ['PUT', '/notifications/preferences', `{"types":${value}}`],
        ['POST', '/posts', `{"body":"x","mediaIds":${value}}`],
        ['POST', '/auth/signin', value],
      ]
      for (const [method, path, text] of bodies) {
        if (text.length > 120_000) continue
        const answer = await admin(method, path, text)
        t.match(answer, { status: 400, body: { code: 'VALIDATION_FAILED' } }, `${path} ${levels}`)
      }
    }
  t.equal((await admin('POST', '/notifications/send', send(nested(98)))).status, 202)
})
