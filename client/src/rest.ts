import { RavenpostError } from './errors.ts'

/** Longer than the server takes for anything. */
const REQUEST_MS = 20_000

export type Tokens = {
  /** `renew`: the last one was refused. Requests at the same time share one answer. */
  get(renew: boolean): Promise<string>
  /** One that somebody else got, and from then on the current one. */
  take(token: string): void
}

export function createTokens(getToken: (renew: boolean) => string | Promise<string>): Tokens {
  let current: string | undefined
  let renewing: Promise<string> | undefined
  return {
    get(renew) {
      if (current !== undefined && !renew) return Promise.resolve(current)
      renewing ??= (async () => {
        try {
          current = await getToken(renew)
          return current
        } finally {
          renewing = undefined
        }
      })()
      return renewing
    },
    take(token) {
      current = token
    },
  }
}

export type Request = <T>(method: string, path: string, body?: unknown) => Promise<T>

/** Authorized requests; a refused token is renewed once. */
export function createRequest(url: string, tokens: Tokens): Request {
  const send = async (method: string, path: string, body: unknown, token: string) => {
    const response = await fetch(url + path, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body !== undefined && { 'content-type': 'application/json' }) },
      body: body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.timeout(REQUEST_MS),
    })
    return { response, text: await response.text() }
  }
  return async (method, path, body) => {
    const token = await tokens.get(false)
    let answer = await send(method, path, body, token)
    // Somebody else may have renewed it meanwhile.
    if (answer.response.status === 401) {
      const current = await tokens.get(false)
      answer = await send(method, path, body, current === token ? await tokens.get(true) : current)
    }
    const { response, text } = answer
    if (!response.ok) throw toError(response, text)
    return text === '' ? undefined : JSON.parse(text)
  }
}

function toError({ status, statusText, headers }: Response, text: string): RavenpostError {
  let problem: { code?: string; title?: string; detail?: string } = {}
  try {
    problem = JSON.parse(text) ?? {}
  } catch {
    // A proxy's page.
  }
  const retryAfter = Number(headers.get('retry-after')) || undefined
  const message = problem.detail ?? problem.title ?? `${status} ${statusText}`
  return new RavenpostError(status, problem.code ?? 'UNKNOWN', message, retryAfter)
}

/** Part of the payload of a JWT; nothing of a token that is none. Not verified: that is the server's. */
export function claimsOf(token: string): { sub?: string; exp?: number; iat?: number } {
  try {
    const [, payload = ''] = token.split('.')
    return JSON.parse(atob(payload.replaceAll('-', '+').replaceAll('_', '/')))
  } catch {
    return {}
  }
}
