import { SignedOut } from 'ravenpost-client'
import type { Me, User } from './answers.ts'
import { Problem } from './problem.ts'

/** URL of the server without a trailing slash, from the <base> element. */
export const serverUrl = new URL('.', document.baseURI).href.replace(/\/$/, '')

export type Tokens = { user: User; accessToken: string; refreshToken?: string; expiresIn: number }
/**
 * Key of the last user in local storage. With it the next start can render before it has a token. It grants no access.
 */
type Remembered = { id: string; username: string; displayName: string; avatarMediaId: string | null }

const REMEMBERED = 'ravenpost.user'
/** Name of the lock for refreshes. A refresh token can be used once, so tabs take turns. */
const REFRESH_LOCK = 'ravenpost.refresh'
/** Milliseconds before its expiry at which an access token is renewed. */
const EARLY = 20_000

/**
 * The session of one user. Usually the refresh token is in a cookie that scripts cannot read. A session created with a
 * refresh token, as on each side of the demo, keeps it in memory.
 */
export class Session {
  readonly user: Remembered
  #accessToken = ''
  #validUntil = 0
  #refreshToken: string | undefined
  #refreshing: Promise<string> | undefined
  #ended = false
  onEnd: () => void = () => {}

  constructor(user: Remembered, tokens?: Tokens) {
    this.user = user
    if (tokens) this.#take(tokens)
  }

  /** Role in the access token, which shows what the server allows and grants nothing. */
  get role(): string {
    const [, payload = ''] = this.#accessToken.split('.')
    return payload ? JSON.parse(atob(payload.replaceAll('-', '+').replaceAll('_', '/'))).role : 'user'
  }

  /**
   * Returns a valid access token.
   * @throws {SignedOut} when the session has ended
   */
  token({ renew = false } = {}): string | Promise<string> {
    if (!renew && Date.now() < this.#validUntil) return this.#accessToken
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  /**
   * Calls the API as this user. Returns the JSON of the response, or undefined without content. `key`: Idempotency-Key.
   * @throws {Problem}
   */
  async request<T>(method: string, path: string, body?: unknown, key?: string): Promise<T> {
    const response = await this.send(method, path, body, key)
    return response.status === 204 || response.status === 202 ? (undefined as T) : response.json()
  }

  async send(method: string, path: string, body?: unknown, key?: string): Promise<Response> {
    const ask = (token: string) =>
      call(method, path, body, {
        authorization: `Bearer ${token}`,
        ...(key !== undefined && { 'idempotency-key': key }),
      })
    let response = await ask(await this.token())
    if (response.status === 401) response = await ask(await this.token({ renew: true }))
    if (!response.ok) throw await problemOf(response)
    return response
  }

  async signOut(): Promise<void> {
    const body = this.#refreshToken ? { refreshToken: this.#refreshToken } : {}
    await this.request('POST', '/auth/signout', body).catch(() => undefined)
    this.end()
  }

  end(): void {
    if (this.#ended) return
    this.#ended = true
    if (!this.#refreshToken) localStorage.removeItem(REMEMBERED)
    this.onEnd()
  }

  async #refresh(): Promise<string> {
    const refresh = () => post<Tokens>('/auth/refresh', this.#refreshToken ? { refreshToken: this.#refreshToken } : {})
    try {
      this.#take(this.#refreshToken ? await refresh() : await inTurn(refresh))
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 401) throw error
      this.end()
      throw new SignedOut('The session has ended')
    }
    return this.#accessToken
  }

  #take({ user, accessToken, refreshToken, expiresIn }: Tokens): void {
    // Another user signed in in another tab, so the cookie belongs to that user now.
    if (user.id !== this.user.id) {
      this.end()
      throw new SignedOut('Another user signed in')
    }
    this.#accessToken = accessToken
    this.#validUntil = Date.now() + expiresIn * 1000 - EARLY
    if (refreshToken !== undefined) this.#refreshToken = refreshToken
    else remember(user)
  }
}

/**
 * The session of the last visit; undefined when nobody was signed in. The first call shows whether it is still valid.
 */
export function rememberedSession(): Session | undefined {
  try {
    const user: Remembered | null = JSON.parse(localStorage.getItem(REMEMBERED) ?? 'null')
    return user ? new Session(user) : undefined
  } catch {
    return undefined
  }
}

export async function signIn(login: string, password: string): Promise<Session> {
  const tokens = await post<Tokens>('/auth/signin?cookie=true', { login, password })
  return new Session(tokens.user, tokens)
}

export type NewAccount = { username: string; email: string; password: string; displayName?: string }

export async function signUp(account: NewAccount): Promise<Session> {
  const tokens = await post<Tokens>('/auth/signup?cookie=true', account)
  return new Session(tokens.user, tokens)
}

/** Signs in with the refresh token in memory instead of the cookie. */
export function sessionOf(tokens: Tokens & { refreshToken: string }): Session {
  return new Session(tokens.user, tokens)
}

export function remember({ id, username, displayName, avatarMediaId }: Remembered | Me): void {
  localStorage.setItem(REMEMBERED, JSON.stringify({ id, username, displayName, avatarMediaId }))
}

/**
 * Calls the API without a token.
 * @throws {Problem}
 */
export async function post<T>(path: string, body: unknown): Promise<T> {
  const response = await call('POST', path, body, {})
  if (!response.ok) throw await problemOf(response)
  return response.status === 204 || response.status === 202 ? (undefined as T) : response.json()
}

async function call(method: string, path: string, body: unknown, headers: Record<string, string>): Promise<Response> {
  const isForm = body instanceof FormData
  const type: Record<string, string> = body === undefined || isForm ? {} : { 'content-type': 'application/json' }
  try {
    return await fetch(serverUrl + path, {
      method,
      headers: { accept: 'application/json', ...type, ...headers },
      body: body === undefined ? null : isForm ? body : JSON.stringify(body),
    })
  } catch {
    throw new Problem(0, {})
  }
}

async function problemOf(response: Response): Promise<Problem> {
  return new Problem(response.status, await response.json().catch(() => ({})))
}

function inTurn<T>(run: () => Promise<T>): Promise<T> {
  return 'locks' in navigator ? navigator.locks.request(REFRESH_LOCK, run) : run()
}

/** A random Idempotency-Key. crypto.randomUUID would require https. */
export function newKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}
