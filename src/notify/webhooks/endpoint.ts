import http from 'node:http'
import https from 'node:https'
import { isIP } from 'node:net'
import { fail } from '../../errors.ts'
import { fits } from '../channels/web-push/push-hosts.ts'
import { publicAddressesOnly } from '../channels/web-push/web-push.ts'

/**
 * Whether a host resolves to a public address is checked when a message is sent.
 * @throws {AppError} WEBHOOK_URL_REFUSED for anything but https to a hostname, unless WEBHOOK_HOSTS lists it
 */
export function requireEndpoint(endpoint: string, webhookHosts: string[]): void {
  const url = URL.parse(endpoint)
  if (!url || !['http:', 'https:'].includes(url.protocol) || url.username || url.password)
    throw fail('WEBHOOK_URL_REFUSED', 'Use a URL like https://example.org/hooks, without username or password')
  if (isNamed(url, webhookHosts)) return
  if (url.protocol !== 'https:')
    throw fail(
      'WEBHOOK_URL_REFUSED',
      'Use https; http is allowed only for hosts in WEBHOOK_HOSTS, listed with a port other than 80',
    )
  if (isIP(url.hostname.replace(/^\[|\]$/g, '')))
    throw fail('WEBHOOK_URL_REFUSED', 'Use a hostname; IP addresses are allowed only if listed in WEBHOOK_HOSTS')
}

const isNamed = (url: URL, webhookHosts: string[]) => webhookHosts.some((pattern) => fits(url, pattern))

/** Sockets per endpoint; more than its concurrent messages. */
const SOCKETS = { keepAlive: true, maxSockets: 10 }

/** The connection pool for a URL: any address for a host in WEBHOOK_HOSTS, otherwise only public addresses. */
export type Agents = { of(url: URL): http.Agent; close(): void }

export function createAgents(webhookHosts: string[]): Agents {
  const [toPublic, byHttp, byHttps] = [publicAddressesOnly(), new http.Agent(SOCKETS), new https.Agent(SOCKETS)]
  return {
    of(url) {
      if (isNamed(url, webhookHosts)) return url.protocol === 'http:' ? byHttp : byHttps
      // WEBHOOK_HOSTS may have changed since the endpoint was created.
      requireEndpoint(url.href, [])
      return toPublic
    },
    close() {
      for (const agent of [toPublic, byHttp, byHttps]) agent.destroy()
    },
  }
}
