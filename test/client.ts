import type { User } from '../src/social/users/view.ts'

/** An answer of the server; `body` is the parsed JSON, or undefined when there is none. */
// biome-ignore lint/suspicious/noExplicitAny: a test looks into bodies of every shape, wrong ones too
export type Answer = { status: number; headers: Headers; body: any }

export type TestClient = {
  id: string
  username: string
  user: User
  accessToken: string
  refreshToken: string
  sessionId: string
  /** Sends `body` as JSON; a string is sent as it is. */
  request(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Answer>
  deleteAccount(): Promise<Answer>
  /** The calls below throw when the answer is not 2xx, and return its body. */
  get(path: string): Promise<Answer['body']>
  like(postId: string): Promise<{ liked: boolean; likeCount: number }>
  unlike(postId: string): Promise<{ liked: boolean; likeCount: number }>
  follow(userId: string): Promise<{ following: boolean }>
  unfollow(userId: string): Promise<{ following: boolean }>
  post(body: string): Promise<{ id: string; [property: string]: unknown }>
  comment(postId: string, body: string, parentId?: string): Promise<{ id: string; [property: string]: unknown }>
}

export const PASSWORD = 'correct horse battery'

/** Signs up a new user over HTTP and returns a client for this user. */
export async function signUp(url: string, name: string): Promise<TestClient> {
  const account = { username: name, email: `${name}@example.org`, password: PASSWORD }
  return clientOf(url, ok(await call(url, 'POST', '/auth/signup', account)))
}

/** A further session of a user who exists. */
export async function signIn(url: string, name: string): Promise<TestClient> {
  return clientOf(url, ok(await call(url, 'POST', '/auth/signin', { login: name, password: PASSWORD })))
}

export async function call(
  url: string,
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const hasBody = body !== undefined
  const response = await fetch(url + path, {
    method,
    headers: { ...(hasBody ? { 'content-type': 'application/json' } : {}), ...headers },
    body: hasBody ? (typeof body === 'string' ? body : JSON.stringify(body)) : null,
  })
  const text = await response.text()
  const isJson = /[/+]json/.test(response.headers.get('content-type') ?? '')
  return {
    status: response.status,
    headers: response.headers,
    body: isJson && text ? JSON.parse(text) : text || undefined,
  }
}

function clientOf(url: string, { user, accessToken, refreshToken }: Answer['body']): TestClient {
  const request: TestClient['request'] = (method, path, body, headers = {}) =>
    call(url, method, path, body, { authorization: `Bearer ${accessToken}`, ...headers })
  const must = async (method: string, path: string, body?: unknown) => ok(await request(method, path, body))
  return {
    id: user.id,
    username: user.username,
    user,
    accessToken,
    refreshToken,
    sessionId: sessionIdOf(accessToken),
    request,
    deleteAccount: () => request('DELETE', `/users/${user.id}`, { currentPassword: PASSWORD }),
    get: (path) => must('GET', path),
    like: (postId) => must('POST', `/posts/${postId}/like`),
    unlike: (postId) => must('DELETE', `/posts/${postId}/like`),
    follow: (userId) => must('POST', `/users/${userId}/follow`),
    unfollow: (userId) => must('POST', `/users/${userId}/unfollow`),
    post: (body) => must('POST', '/posts', { body }),
    comment: (postId, body, parentId) => must('POST', `/posts/${postId}/comment`, { body, parentId }),
  }
}

function ok({ status, body }: Answer): Answer['body'] {
  if (status >= 300) throw new Error(`answered ${status}: ${JSON.stringify(body)}`)
  return body
}

function sessionIdOf(accessToken: string): string {
  const payload = Buffer.from(accessToken.split('.')[1] ?? '', 'base64url').toString()
  return JSON.parse(payload).sid
}
