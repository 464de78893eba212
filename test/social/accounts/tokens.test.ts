import { createHmac } from 'node:crypto'
import { test } from 'tap'
import { signAccessToken, verifyAccessToken } from '../../../src/social/sessions/tokens.ts'
import { eventually, testConfig } from '../../setup.ts'

const config = testConfig('postgres://localhost/none')
const identity = { userId: '7', sessionId: '9', role: 'user' as const }
const good = signAccessToken(config, identity)

const part = (json: object) => Buffer.from(JSON.stringify(json)).toString('base64url')
const read = (token: string, n: number) => JSON.parse(Buffer.from(token.split('.')[n] ?? '', 'base64url').toString())
const header = read(good, 0)
const payload = read(good, 1)

/** A token signed with the right secret, so that only the test's change is invalid. */
function signed(changedHeader: object, changedPayload: object, hash = 'sha256'): string {
  const input = `${part({ ...header, ...changedHeader })}.${part({ ...payload, ...changedPayload })}`
  return `${input}.${createHmac(hash, config.jwtSecret).update(input).digest('base64url')}`
}

test('an access token names its type, key, issuer and audience, and is accepted', async (t) => {
  t.match(header, { alg: 'HS256', typ: 'at+jwt', kid: /^[\w-]{8}$/ })
  t.match(payload, { iss: 'ravenpost', aud: 'ravenpost', sub: '7', sid: '9', role: 'user', iat: Number, exp: Number })
  t.match(verifyAccessToken(config, good), identity)
  t.match(verifyAccessToken(config, signed({}, {})), identity, 'the same by hand')
})

const second = Math.floor(Date.now() / 1000)
const wrong: Record<string, string> = {
  'without a signature': `${part({ ...header, alg: 'none' })}.${part(payload)}.`,
  'with another algorithm of the same family': signed({ alg: 'HS512' }, {}, 'sha512'),
  'of the general type JWT': signed({ typ: 'JWT' }, {}),
  'without a type': signed({ typ: undefined }, {}),
  'without a key id': signed({ kid: undefined }, {}),
  'with another key id': signed({ kid: 'aaaaaaaa' }, {}),
  'with a critical extension': signed({ crit: ['x'], x: 1 }, {}),
  'with a key of its own': signed({ jwk: { kty: 'oct', k: 'eA' } }, {}),
  'of another issuer': signed({}, { iss: 'elsewhere' }),
  'without an issuer': signed({}, { iss: undefined }),
  'for another audience': signed({}, { aud: 'elsewhere' }),
  'for several audiences, ours not among them': signed({}, { aud: ['elsewhere', 'there'] }),
  'without an audience': signed({}, { aud: undefined }),
  'that has expired': signed({}, { exp: second - 1 }),
  'that never expires': signed({}, { exp: undefined }),
  'that is not valid yet': signed({}, { nbf: second + 3600 }),
  'of a role that is none': signed({}, { role: 'root' }),
  'of a subject that is no string': signed({}, { sub: 7 }),
}

for (const [what, token] of Object.entries(wrong))
  test(`a token ${what} is refused`, async (t) => t.equal(verifyAccessToken(config, token), null))

test('an accepted token is refused once it has expired', async (t) => {
  const short = signAccessToken({ ...config, accessTokenTtl: 3 }, identity)
  t.match(verifyAccessToken(config, short), identity)
  await eventually(() => verifyAccessToken(config, short) === null)
  t.match(verifyAccessToken(config, good), identity)
})

test('during a rotation both secrets are accepted, afterwards only the new one', async (t) => {
  const next = 'the next secret, which is 32 bytes long or longer'
  const [before, during, after] = [
    { ...config, jwtSecretPrevious: next },
    { ...config, jwtSecret: next, jwtSecretPrevious: config.jwtSecret },
    { ...config, jwtSecret: next },
  ]
  const newer = signAccessToken(during, identity)
  t.not(read(newer, 0).kid, header.kid)
  for (const each of [before, during]) {
    t.match(verifyAccessToken(each, good), identity)
    t.match(verifyAccessToken(each, newer), identity)
  }
  t.match(verifyAccessToken(after, newer), identity)
  t.equal(verifyAccessToken(after, good), null)
  t.equal(verifyAccessToken(config, newer), null)
})
