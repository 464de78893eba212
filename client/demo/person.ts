const PASSWORD = 'correct horse battery staple'

/** Somebody who uses Ravenpost over REST, on one device. */
export class Person {
  readonly id: string
  readonly name: string
  readonly username: string
  readonly token: string
  readonly #url: string

  private constructor(url: string, { user, accessToken }: { user: User; accessToken: string }) {
    this.#url = url
    this.id = user.id
    this.name = user.displayName
    this.username = user.username
    this.token = accessToken
  }

  static async signUp(url: string, displayName: string): Promise<Person> {
    const username = `${displayName.toLowerCase()}_${Math.random().toString(36).slice(2, 8)}`
    const account = { username, displayName, email: `${username}@example.org`, password: PASSWORD }
    return new Person(url, await call(url, 'POST', '/auth/signup', account))
  }

  /** Another session of the same person, as another device has. */
  async signInAgain(): Promise<Person> {
    const credentials = { login: this.username, password: PASSWORD }
    return new Person(this.#url, await call(this.#url, 'POST', '/auth/signin', credentials))
  }

  get<T>(path: string): Promise<T> {
    return call(this.#url, 'GET', path, undefined, this.token)
  }

  post<T>(path: string, body: object = {}): Promise<T> {
    return call(this.#url, 'POST', path, body, this.token)
  }

  patch(path: string, body: object = {}): Promise<unknown> {
    return call(this.#url, 'PATCH', path, body, this.token)
  }

  delete(path: string): Promise<unknown> {
    return call(this.#url, 'DELETE', path, undefined, this.token)
  }

  deleteAccount(): Promise<unknown> {
    return call(this.#url, 'DELETE', `/users/${this.id}`, { currentPassword: PASSWORD }, this.token)
  }
}

/** What an answer to a creation has at least. */
export type Created = { id: string }

type User = { id: string; displayName: string; username: string }

/** @throws when the answer is not 2xx, with what the server says about it */
async function call<T>(url: string, method: string, path: string, body?: object, token?: string): Promise<T> {
  const headers: Record<string, string> = {}
  if (token) headers.authorization = `Bearer ${token}`
  if (body) headers['content-type'] = 'application/json'
  const signal = AbortSignal.timeout(5000)
  const response = await fetch(url + path, { method, headers, signal, body: body ? JSON.stringify(body) : null })
  const text = await response.text()
  if (!response.ok) throw new Error(`${method} ${path} was answered with ${response.status}: ${text}`)
  return JSON.parse(text || 'null')
}
