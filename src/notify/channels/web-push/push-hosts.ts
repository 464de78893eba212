import { isIP } from 'node:net'

/** Push services of Chrome and related browsers, Chromium, Firefox, Edge and Safari. */
const KNOWN = [
  'fcm.googleapis.com',
  'jmt17.google.com',
  '*.push.services.mozilla.com',
  '*.notify.windows.com',
  '*.push.apple.com',
]

/**
 * Whether an endpoint belongs to a known push service or matches `PUSH_HOSTS`. Users submit endpoints: any other host
 * or port would let them send requests from our address, and learn from the outcome what listens there.
 */
export function isPushService(endpoint: string, pushHosts: string[]): boolean {
  const url = URL.parse(endpoint)
  if (url?.protocol !== 'https:' || url.username || url.password || isIP(url.hostname.replace(/^\[|\]$/g, '')))
    return false
  return [...KNOWN, ...pushHosts].some((pattern) => fits(url, pattern))
}

/** A pattern is `host` or `*.host`, with or without a port. The default is the port of the protocol, as in a URL. */
export function fits({ protocol, hostname, port }: URL, pattern: string): boolean {
  const usual = protocol === 'http:' ? '80' : '443'
  const [host = '', onPort = usual] = pattern.split(':')
  if ((port || usual) !== onPort) return false
  return host.startsWith('*.') ? hostname.endsWith(host.slice(1)) : hostname === host
}
