import { SignedOut } from 'ravenpost-client'
import type { Me, User } from './answers.ts'
import { call, contentOf, inTurn, post, problemOf } from './calls.ts'
import { forgetSignOut, owedSignOut, oweSignOut, sendOwedSignOut } from './owed-sign-out.ts'
import { Problem } from './problem.ts'

export type Tokens = { user: User; accessToken: string; refreshToken?: string; expiresIn: number }
/**
 * Key of the last user in local storage. With it the next start can render before it has a token. It grants no access.
 */
type Remembered = { id: string; username: string; displayName: string; avatarMediaId: string | null }

const REMEMBERED = 'ravenpost.user'
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
  /** Deletes what the browser has stored about the user. Called once, before `onEnd`. */
  forget: () => Promise<void> = async () => {}
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
    if (this.#ended) return Promise.reject(new SignedOut('The session has ended'))
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
    return contentOf(await this.#send(method, path, body, key))
  }

  /** Calls the API without a limit of time, as for downloads and streams. Returns the response. */
  send(method: string, path: string, body?: unknown, key?: string): Promise<Response> {
    return this.#send(method, path, body, key, null)
  }

  /** Ends the session here at once, and on the server as soon as it answers. */
  async signOut(): Promise<void> {
    if (this.#refreshToken) {
      await this.request('POST', '/auth/signout', { refreshToken: this.#refreshToken }).catch(() => undefined)
      return this.end()
    }
    const sent = oweSignOut(this.user.id)
    await this.end()
    await sent
  }

  /** Ends the session in this browser. Another user's session, begun in another tab, stays. */
  async end(): Promise<void> {
    if (this.#ended) return
    this.#ended = true
    if (!this.#refreshToken && remembered()?.id === this.user.id) {
      localStorage.removeItem(REMEMBERED)
      void endPush().catch(() => {})
    }
    await this.forget().catch(() => {})
    this.onEnd()
  }

  /** Stores the user for the next start. */
  remember({ id, username, displayName, avatarMediaId }: Remembered | Me): void {
    if (this.#ended || this.#refreshToken) return
    localStorage.setItem(REMEMBERED, JSON.stringify({ id, username, displayName, avatarMediaId }))
  }

  async #refresh(): Promise<string> {
    const refresh = () => post<Tokens>('/auth/refresh', this.#refreshToken ? { refreshToken: this.#refreshToken } : {})
    try {
      await this.#replace(this.#refreshToken ? await refresh() : await inTurn(refresh))
    } catch (error) {
      if (!(error instanceof Problem) || error.status !== 401) throw error
      await this.end()
      throw new SignedOut('The session has ended')
    }
    return this.#accessToken
  }

  async #send(method: string, path: string, body: unknown, key: string | undefined, limitMs?: null) {
    const named: Record<string, string> = key === undefined ? {} : { 'idempotency-key': key }
    const ask = (token: string) =>
      call(method, path, body, { headers: { ...named, authorization: `Bearer ${token}` }, limitMs })
    let response = await ask(await this.token())
    if (response.status === 401) response = await ask(await this.token({ renew: true }))
    if (!response.ok) throw await problemOf(response)
    return response
  }

  async #replace(tokens: Tokens): Promise<void> {
    // Another user signed in in another tab, so the cookie belongs to that user now.
    if (tokens.user.id !== this.user.id) await this.end()
    if (this.#ended) throw new SignedOut('The session has ended')
    this.#take(tokens)
  }

  #take({ user, accessToken, refreshToken, expiresIn }: Tokens): void {
    this.#accessToken = accessToken
    this.#validUntil = Date.now() + expiresIn * 1000 - EARLY
    if (refreshToken !== undefined) this.#refreshToken = refreshToken
    this.remember(user)
  }
}

/**
 * The session of the last visit; undefined when nobody was signed in. The first call shows whether it is still valid.
 */
export function rememberedSession(): Session | undefined {
  const user = remembered()
  return user && user.id !== owedSignOut() ? new Session(user) : undefined
}

function remembered(): Remembered | undefined {
  try {
    return JSON.parse(localStorage.getItem(REMEMBERED) ?? 'null') ?? undefined
  } catch {
    return undefined
  }
}

export function signIn(login: string, password: string): Promise<Session> {
  return begin('/auth/signin?cookie=true', { login, password })
}

export type NewAccount = { username: string; email: string; password: string; displayName?: string }

export function signUp(account: NewAccount): Promise<Session> {
  return begin('/auth/signup?cookie=true', account)
}

async function begin(path: string, body: unknown): Promise<Session> {
  // The former session cannot be ended once its cookie is replaced.
  await sendOwedSignOut()
  const tokens = await inTurn(async () => {
    const given = await post<Tokens>(path, body)
    // Before another tab has its turn, which would end this session in place of the former one.
    forgetSignOut()
    return given
  })
  return new Session(tokens.user, tokens)
}

/** Signs in with the refresh token in memory instead of the cookie. */
export function sessionOf(tokens: Tokens & { refreshToken: string }): Session {
  return new Session(tokens.user, tokens)
}

/** Ends the push subscription of this browser. The server ends its own with the session. */
async function endPush(): Promise<void> {
  const registration = await navigator.serviceWorker?.getRegistration()
  await (await registration?.pushManager.getSubscription())?.unsubscribe()
}

/**
 * Idempotency-Keys for a form, each bound to the body that it was first sent with: a retry after a lost response does not
 * create a second post, and another text is not refused. `done`: called when the post exists.
 */
export function createKeys() {
  const keys = new Map<string, string>()
  return {
    of(body: string): string {
      const key = keys.get(body) ?? newKey()
      keys.set(body, key)
      return key
    },
    done: () => keys.clear(),
  }
}

/** A random Idempotency-Key. crypto.randomUUID would require https. */
export function newKey(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}
