import http from 'node:http'
import https from 'node:https'
import { isIP } from 'node:net'
import { fail } from '../../errors.ts'
import { fits } from '../channels/web-push/push-hosts.ts'
import { publicAddressesOnly } from '../channels/web-push/web-push.ts'

/**
 * @throws {AppError} WEBHOOK_URL_REFUSED for anything but https to the name of a host, unless WEBHOOK_HOSTS names it. Whether a
 * name leads to a public address is seen when a message is sent.
 */
export function requireEndpoint(endpoint: string, webhookHosts: string[]): void {
  const url = URL.parse(endpoint)
  if (!url || !['http:', 'https:'].includes(url.protocol) || url.username || url.password)
    throw fail('WEBHOOK_URL_REFUSED', 'Use a URL like https://example.org/hooks, without username or password')
  if (isNamed(url, webhookHosts)) return
  if (url.protocol !== 'https:')
    throw fail('WEBHOOK_URL_REFUSED', 'Use https; http is allowed only for hosts in WEBHOOK_HOSTS')
  if (isIP(url.hostname.replace(/^\[|\]$/g, '')))
    throw fail('WEBHOOK_URL_REFUSED', 'Use a hostname; IP addresses are allowed only if listed in WEBHOOK_HOSTS')
}

const isNamed = (url: URL, webhookHosts: string[]) => webhookHosts.some((pattern) => fits(url, pattern))

/** Sockets of one endpoint; an endpoint has fewer messages under way. */
const SOCKETS = { keepAlive: true, maxSockets: 10 }

/** Which connection a URL is given: to a host that WEBHOOK_HOSTS names, or to public addresses only. */
export type Agents = { of(url: URL): http.Agent; close(): void }

export function createAgents(webhookHosts: string[]): Agents {
  const [toPublic, byHttp, byHttps] = [publicAddressesOnly(), new http.Agent(SOCKETS), new https.Agent(SOCKETS)]
  return {
    of(url) {
      if (isNamed(url, webhookHosts)) return url.protocol === 'http:' ? byHttp : byHttps
      // The list may have become shorter since the endpoint was made.
      requireEndpoint(url.href, [])
      return toPublic
    },
    close() {
      for (const agent of [toPublic, byHttp, byHttps]) agent.destroy()
    },
  }
}
