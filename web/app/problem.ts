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

  /** The message for one property of the request body. */
  at(property: string): string | undefined {
    return this.errors.find(({ pointer }) => pointer === `/${property}`)?.message
  }
}

/** The message for the user. */
export function explain(error: unknown, { app, errors }: Words): string {
  if (!(error instanceof Problem)) return app.failed
  if (error.status === 0) return app.offline
  return errors[error.code] ?? error.message
}
