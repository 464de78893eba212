import { createHash, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair } from 'jose'
import Provider from 'oidc-provider'
import type { Test } from 'tap'

const CLIENT = 'my-app'
const REDIRECT = 'https://my-app.example.org/callback'

export type OpenIdProvider = {
  issuer: string
  jwksUri: string
  /** Signs a person in by the pages of the provider, as a browser does; returns an access token for the audience. */
  signIn(login: string): Promise<string>
}

/** A certified OpenID provider on a port of its own. Anyone may sign in: the login is the subject. */
export async function startOpenIdProvider(t: Test, audience: string): Promise<OpenIdProvider> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const { privateKey } = await generateKeyPair('RS256', { extractable: true })
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: CLIENT,
        redirect_uris: [REDIRECT],
        response_types: ['code'],
        grant_types: ['authorization_code'],
        token_endpoint_auth_method: 'none',
      },
    ],
    jwks: { keys: [{ ...(await exportJWK(privateKey)), kid: 'first', alg: 'RS256', use: 'sig' }] },
    cookies: { keys: [randomBytes(32).toString('hex')] },
    features: {
      resourceIndicators: {
        enabled: true,
        defaultResource: () => audience,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: '',
          audience,
          accessTokenFormat: 'jwt',
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
  })
  server.on('request', provider.callback())
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const discovery = await (await fetch(`${issuer}/.well-known/openid-configuration`)).json()
  return {
    issuer: discovery.issuer,
    jwksUri: discovery.jwks_uri,
    signIn: (login) => signIn(discovery, audience, login),
  }
}

type Discovery = { authorization_endpoint: string; token_endpoint: string }

/** The authorization code flow with PKCE (RFC 7636) and a resource (RFC 8707). */
async function signIn(discovery: Discovery, audience: string, login: string): Promise<string> {
  const verifier = randomBytes(32).toString('base64url')
  const challenge = createHash('sha256').update(verifier).digest('base64url')
  const start = new URL(discovery.authorization_endpoint)
  start.search = String(
    new URLSearchParams({
      client_id: CLIENT,
      response_type: 'code',
      redirect_uri: REDIRECT,
      scope: 'openid',
      resource: audience,
      code_challenge: challenge,
      code_challenge_method: 'S256',
    }),
  )
  const code = await answerPages(start, login)
  const response = await fetch(discovery.token_endpoint, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      client_id: CLIENT,
      redirect_uri: REDIRECT,
      code,
      code_verifier: verifier,
      resource: audience,
    }),
  })
  const { access_token: token, ...rest } = await response.json()
  if (!token) throw new Error(`the provider gave no token: ${JSON.stringify(rest)}`)
  return token
}

/** Follows redirects and fills the provider's forms until it sends the code to the application. */
async function answerPages(start: URL, login: string): Promise<string> {
  const cookies = new Map<string, string>()
  let next: { url: URL; form?: URLSearchParams } = { url: start }
  for (let step = 0; step < 20; step += 1) {
    const { url, form } = next
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const response = await fetch(url, {
      redirect: 'manual',
      headers: { cookie },
      ...(form && { method: 'POST', body: form }),
    })
    for (const set of response.headers.getSetCookie()) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(set) ?? []
      cookies.set(name, value)
    }
    const location = response.headers.get('location')
    if (location?.startsWith(REDIRECT)) return new URL(location).searchParams.get('code') ?? ''
    if (location) next = { url: new URL(location, url) }
    else
      next = {
        url: actionOf(await response.text(), url),
        form: new URLSearchParams({ prompt: 'consent', login, password: 'x' }),
      }
    if (next.form && step < 3) next.form.set('prompt', 'login')
  }
  throw new Error('the provider never sent a code')
}

function actionOf(page: string, url: URL): URL {
  const [, action] = /<form[^>]*action="([^"]+)"/.exec(page) ?? []
  if (!action) throw new Error(`a page without a form: ${page.slice(0, 500)}`)
  return new URL(action, url)
}
