import { once } from 'node:events'
import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import { Webhook } from 'standardwebhooks'
import { messageOf } from '../../errors.ts'
import { askedToWait, isRefusedAddress } from '../channels/web-push/web-push.ts'
import type { Agents } from './endpoint.ts'
import type { Batch, Result, Taken } from './take.ts'

/**
 * Sends one message, signed with each secret; never throws. Does not follow redirects, which would bypass the address
 * check.
 */
export async function post(
  agents: Agents,
  timeoutMs: number,
  { endpoint, secrets }: Batch,
  { messageId }: Taken,
  body: string,
): Promise<Result> {
  const sentAt = new Date()
  const headers = {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'user-agent': 'Ravenpost',
    'webhook-id': messageId,
    'webhook-timestamp': String(Math.floor(sentAt.getTime() / 1000)),
    'webhook-signature': secrets.map((secret) => new Webhook(secret).sign(messageId, sentAt, body)).join(' '),
  }
  try {
    const url = new URL(endpoint)
    const { request } = url.protocol === 'http:' ? http : https
    const agent = agents.of(url)
    const sending = request(url, { method: 'POST', headers, agent, signal: AbortSignal.timeout(timeoutMs) })
    sending.end(body)
    const [response]: IncomingMessage[] = await once(sending, 'response')
    // Discards the body, within the time limit, so that an endpoint cannot make us hold data.
    response?.on('error', () => {}).resume()
    return resultOf(response)
  } catch (error) {
    return { status: null, error: errorOf(error, timeoutMs), afterSeconds: 0 }
  }
}

function resultOf(response: IncomingMessage | undefined): Result {
  const status = response?.statusCode ?? 0
  if (status >= 200 && status < 300) return { status, error: null, afterSeconds: 0 }
  const redirected = status >= 300 && status < 400 ? '; redirects are not followed' : ''
  const afterSeconds = askedToWait(response?.headers['retry-after'], Date.now())
  return { status, error: `answered ${status}${redirected}`, afterSeconds }
}

function errorOf(error: unknown, timeoutMs: number): string {
  if (isRefusedAddress(error)) return 'the URL leads to an address that is not public'
  if (error instanceof Error && ['AbortError', 'TimeoutError'].includes(error.name))
    return `no answer within ${timeoutMs / 1000} s`
  return messageOf(error).slice(0, 500)
}
