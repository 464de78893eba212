import { RavenpostError } from 'ravenpost-client'
import type { Words } from './words/en.ts'

type Fault = { pointer: string; message: string }

/** Error for a response that is not 2xx (RFC 9457), or for no response: then `status` is 0. */
export class Problem extends Error {
  override name = 'Problem'
  readonly status: number
  readonly code: string
  readonly errors: readonly Fault[]

  constructor(status: number, body: { code?: string; title?: string; detail?: string; errors?: Fault[] }) {
    super(body.detail ?? body.title ?? `The server answered ${status}`)
    this.status = status
    this.code = body.code ?? 'UNKNOWN'
    this.errors = body.errors ?? []
  }
}

/** The property of the request body that a code is about. The server names properties only for invalid input. */
const PROPERTIES: Record<string, string> = {
  USERNAME_TAKEN: 'username',
  EMAIL_TAKEN: 'email',
  PASSWORD_TOO_COMMON: 'password',
  PASSWORD_UNCHANGED: 'password',
  WRONG_PASSWORD: 'currentPassword',
}

/** Messages for a refused form. `at`: beside a field. `general`: for the whole form, when no field has one. */
export function faultsOf(error: unknown, words: Words) {
  const problem = isProblem(error) ? error : undefined
  const property = problem && PROPERTIES[problem.code]
  const isBesideField = property !== undefined || problem?.errors.some(({ pointer }) => pointer.length > 1)
  return {
    at: (name: string) => (name === property ? explain(error, words) : messageAt(error, name)),
    general: error && !isBesideField ? explain(error, words) : undefined,
  }
}

/** The message of the server for one property of the request body. */
export function messageAt(error: unknown, property: string): string | undefined {
  return isProblem(error) ? error.errors.find(({ pointer }) => pointer === `/${property}`)?.message : undefined
}

/** The message for the user. */
export function explain(error: unknown, { app, errors }: Words): string {
  if (isOffline(error)) return app.offline
  return isProblem(error) ? (errors[error.code] ?? error.message) : app.failed
}

/** An error for a response, from the app or from its client. */
function isProblem(error: unknown): error is Problem | RavenpostError {
  return error instanceof Problem || error instanceof RavenpostError
}

/** No response: `fetch` rejects with a TypeError, or at its limit with a DOMException. */
function isOffline(error: unknown): boolean {
  if (error instanceof Problem) return error.status === 0
  return (
    (error instanceof TypeError && /fetch|network|load failed/i.test(error.message)) ||
    (error instanceof DOMException && ['TimeoutError', 'NetworkError'].includes(error.name))
  )
}
