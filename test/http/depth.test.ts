import { type Test, test } from 'tap'
import { call } from '../client.ts'
import { setup } from '../setup.ts'

const nested = (levels: number) => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`
const inArrays = (levels: number) => `${'['.repeat(levels)}${']'.repeat(levels)}`

/** Calls as an admin with an idempotency key. */
async function asAdmin(t: Test) {
  const { url, as, pool } = await setup(t)
  const { id, refreshToken } = await as('ana')
  await pool.query(`update social.users set role = 'admin'`)
  const { body } = await call(url, 'POST', '/auth/refresh', { refreshToken })
  const headers = { authorization: `Bearer ${body.accessToken}`, 'idempotency-key': 'a-key' }
  return { id, admin: (method: string, path: string, text: string) => call(url, method, path, text, headers) }
}

test('JSON nested deeper than a hundred levels is refused everywhere', async (t) => {
  const { id, admin } = await asAdmin(t)
  const send = (data: string) => `{"recipientId":"${id}","title":"T","message":"M","data":${data}}`
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

test('a text with half of a surrogate pair is refused everywhere, with its pointer', async (t) => {
  const { id, admin } = await asAdmin(t)
  const sent = (data: string) => `{"recipientId":"${id}","title":"T","message":"M","data":${data}}`
  const refused: [method: string, path: string, body: string, pointer: string][] = [
    ['POST', '/notifications/send', sent('{"a":"\\ud800"}'), '/data/a'],
    ['POST', '/notifications/send', sent('{"a/b~c":[1,{"d":"x\\uDC00\\ud800y"}]}'), '/data/a~1b~0c/1/d'],
    ['POST', '/notifications/send', sent('{"\\udfff":1}'), '/data/\ufffd'],
    ['POST', '/posts', '{"body":"\\ude00\\ud83d"}', '/body'],
    ['PATCH', `/users/${id}`, '"\\uD83D"', ''],
  ]
  for (const [method, path, body, pointer] of refused) {
    const answer = await admin(method, path, body)
    t.match(answer, { status: 400, body: { code: 'VALIDATION_FAILED', errors: [{ pointer }] } }, body)
  }
  const whole = await admin('POST', '/posts', '{"body":"\\ud83d\\ude00 \\ufffd"}')
  t.match(whole, { status: 201, body: { body: '\u{1f600} \ufffd' } })
})
