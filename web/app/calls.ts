import { Problem } from './problem.ts'

/** URL of the server without a trailing slash, from the <base> element. */
export const serverUrl = new URL('.', document.baseURI).href.replace(/\/$/, '')

/** Milliseconds for one call. The server's longest take 40 s: up to 10 s until a long read begins, and 30 s for it. */
const CALL_MS = 45_000
/** Milliseconds for a call without a token. Other tabs wait for those that use the cookie. */
const COOKIE_CALL_MS = 20_000
/** Name of the lock for calls that use the refresh token in the cookie. It can be used once, so tabs take turns. */
const COOKIE_LOCK = 'ravenpost.refresh'

/**
 * Calls the API without a token.
 * @throws {Problem}
 */
export async function post<T>(path: string, body: unknown, headers: Record<string, string> = {}): Promise<T> {
  const response = await call('POST', path, body, { headers, limitMs: COOKIE_CALL_MS })
  if (!response.ok) throw await problemOf(response)
  return contentOf(response)
}

/**
 * Resolves with any response. `limitMs`: null for downloads and streams; uploads have no limit either.
 * @throws {Problem} with status 0 without a response
 */
export async function call(
  method: string,
  path: string,
  body: unknown,
  { headers, limitMs = CALL_MS }: { headers: Record<string, string>; limitMs?: number | null },
): Promise<Response> {
  const isForm = body instanceof FormData
  const type: Record<string, string> = body === undefined || isForm ? {} : { 'content-type': 'application/json' }
  try {
    return await fetch(serverUrl + path, {
      method,
      headers: { accept: 'application/json', ...type, ...headers },
      body: body === undefined ? null : isForm ? body : JSON.stringify(body),
      signal: limitMs && !isForm ? AbortSignal.timeout(limitMs) : null,
    })
  } catch {
    throw new Problem(0, {})
  }
}

/** The JSON of a response, or undefined without content. */
export function contentOf<T>(response: Response): Promise<T> {
  return response.status === 204 || response.status === 202 ? Promise.resolve(undefined as T) : response.json()
}

export async function problemOf(response: Response): Promise<Problem> {
  return new Problem(response.status, await response.json().catch(() => ({})))
}

/**
 * Runs calls that use or replace the cookie, one tab at a time.
 * @throws {Problem} with status 0 if another tab holds the lock for longer than a call can take
 */
export async function inTurn<T>(run: () => Promise<T>): Promise<T> {
  if (!('locks' in navigator)) return run()
  const signal = AbortSignal.timeout(2 * COOKIE_CALL_MS)
  let hasBegun = false
  const begin = () => {
    hasBegun = true
    return run()
  }
  return navigator.locks.request(COOKIE_LOCK, { signal }, begin).catch((error: unknown) => {
    throw hasBegun ? error : new Problem(0, {})
  })
}
