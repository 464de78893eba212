import { RavenpostError } from './errors.ts'

/** Request timeout, longer than any timeout of the server. */
const REQUEST_MS = 20_000

export type Tokens = {
  /** Returns the current token, or a new one if `refused` is the current one. Concurrent calls share one result. */
  get(refused?: string): Promise<string>
  /** Replaces the current token by one from another tab. */
  take(token: string): void
}

export function createTokens(getToken: (refused: string | undefined) => string | Promise<string>): Tokens {
  let current: string | undefined
  let asking: Promise<string> | undefined
  const ask = async (refused: string | undefined) => {
    try {
      current = await getToken(refused)
      return current
    } finally {
      asking = undefined
    }
  }
  return {
    get(refused) {
      if (current !== undefined && current !== refused) return Promise.resolve(current)
      asking ??= ask(refused)
      return asking
    },
    take(token) {
      current = token
    },
  }
}

export type Request = <T>(method: string, path: string, body?: unknown) => Promise<T>

/** Creates a function that sends authorized requests. It renews a refused token once. */
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
    const token = await tokens.get()
    let answer = await send(method, path, body, token)
    if (answer.response.status === 401) answer = await send(method, path, body, await tokens.get(token))
    const { response, text } = answer
    if (!response.ok) throw toError(response, text)
    return text === '' ? undefined : JSON.parse(text)
  }
}

function toError({ status, statusText, headers }: Response, text: string): RavenpostError {
  let problem: { code?: string; title?: string; detail?: string; errors?: [] } = {}
  try {
    problem = JSON.parse(text) ?? {}
  } catch {
    // The body is not JSON, for example an error page of a proxy.
  }
  const retryAfter = Number(headers.get('retry-after')) || undefined
  const message = problem.detail ?? problem.title ?? `${status} ${statusText}`
  return new RavenpostError(status, problem.code ?? 'UNKNOWN', message, retryAfter, problem.errors)
}

/** Claims of a JWT, without verification. An empty object if the token is not a JWT. */
export function claimsOf(token: string): { sub?: string; exp?: number; iat?: number } {
  try {
    const [, payload = ''] = token.split('.')
    return JSON.parse(atob(payload.replaceAll('-', '+').replaceAll('_', '/')))
  } catch {
    return {}
  }
}
