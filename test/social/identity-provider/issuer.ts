import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, type JWTHeaderParameters, SignJWT } from 'jose'
import type { Test } from 'tap'

export type Key = { kid: string; alg: string; privateKey: CryptoKey; publicKey: CryptoKey; jwk: JWK }

export const AUDIENCE = 'https://notifications.example.org'

/** An issuer of access tokens with a JWK Set on a port of its own. */
export type Issuer = {
  url: string
  issuer: string
  /** Keys in the key set. */
  keys: Key[]
  /** Requests for it so far. */
  requests: number
  /** The answer instead of the key set: a status, or none. */
  trouble: number | 'hang' | undefined
  env: Record<string, string>
  /** An access token for this subject, signed with the first key. Valid for an hour, unless the claims contain another time. */
  token(
    sub: string,
    claims?: Record<string, unknown>,
    header?: Partial<JWTHeaderParameters>,
    key?: Key,
  ): Promise<string>
}

export async function newKey(kid: string, alg = 'RS256'): Promise<Key> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  return { kid, alg, privateKey, publicKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } }
}

export async function startIssuer(t: Test, keys: Key[] = []): Promise<Issuer> {
  if (keys.length === 0) keys.push(await newKey('first'))
  const server = createServer((_request, response) => {
    issuer.requests += 1
    if (issuer.trouble === 'hang') return
    if (issuer.trouble !== undefined) response.writeHead(issuer.trouble).end()
    else
      response
        .setHeader('content-type', 'application/json')
        .end(JSON.stringify({ keys: issuer.keys.map(({ jwk }) => jwk) }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const issuer: Issuer = {
    url: `${base}/jwks`,
    issuer: base,
    keys,
    requests: 0,
    trouble: undefined,
    env: { AUTH_JWKS_URL: `${base}/jwks`, AUTH_ISSUER: base, AUTH_AUDIENCE: AUDIENCE },
    token(sub, claims = {}, header = {}, key = issuer.keys[0]) {
      if (!key) throw new Error('no key')
      const now = Math.floor(Date.now() / 1000)
      return new SignJWT({ iss: base, aud: AUDIENCE, sub, iat: now, exp: now + 3600, ...claims })
        .setProtectedHeader({ alg: key.alg, kid: key.kid, typ: 'at+jwt', ...header })
        .sign(key.privateKey)
    },
  }
  return issuer
}
