import { Agent, request } from 'node:http'

/** `refused`: the call certainly had no effect. `unknown`: no answer, or one that does not show whether it had an effect. */
export type Answer = { outcome: 'ok' | 'wrong' | 'refused' | 'unknown'; status: number; body: unknown }

const TIMEOUT_MS = 5000
const agent = new Agent({ keepAlive: true, maxSockets: 200 })

export type CallOptions = {
  body?: object
  /** Idempotency-Key: makes a retry of a creating call safe. */
  key?: string
  /** Uses a new connection, because all kept ones may be dead. */
  fresh?: boolean
}

/** Calls 127.0.0.1. Never rejects: faults of the network are results too. */
export function call(
  port: number,
  method: string,
  path: string,
  token: string,
  { body, key, fresh = false }: CallOptions = {},
): Promise<Answer> {
  return new Promise((resolve) => {
    const text = body === undefined ? undefined : JSON.stringify(body)
    const headers = {
      authorization: `Bearer ${token}`,
      ...(key !== undefined && { 'idempotency-key': key }),
      ...(text !== undefined && { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }),
    }
    const signal = AbortSignal.timeout(TIMEOUT_MS)
    const sent = request(
      { port, host: '127.0.0.1', method, path, headers, agent: fresh ? false : agent, signal },
      (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk) => chunks.push(chunk))
        response.on('error', () => resolve({ outcome: 'unknown', status: 0, body: undefined }))
        response.on('end', () => {
          const status = response.statusCode ?? 0
          resolve({ outcome: outcomeOf(status), status, body: parsed(Buffer.concat(chunks).toString()) })
        })
      },
    )
    sent.on('error', (error) => {
      const refused = 'code' in error && error.code === 'ECONNREFUSED'
      resolve({ outcome: refused ? 'refused' : 'unknown', status: 0, body: undefined })
    })
    sent.end(text)
  })
}

function outcomeOf(status: number): Answer['outcome'] {
  if (status >= 200 && status < 300) return 'ok'
  // 409: an earlier attempt with the same Idempotency-Key still runs.
  if (status === 409 || status === 429 || status === 502) return 'refused'
  return status >= 500 ? 'unknown' : 'wrong'
}

function parsed(text: string): unknown {
  try {
    return text === '' ? undefined : JSON.parse(text)
  } catch {
    return undefined
  }
}
