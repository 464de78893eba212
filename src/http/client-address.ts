import type { IncomingMessage } from 'node:http'
import { BlockList, isIP, isIPv6 } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { App } from '../app.ts'

const named: Record<string, string[]> = {
  loopback: ['127.0.0.0/8', '::1/128'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  uniquelocal: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
}

/**
 * The client address of a raw request, without Fastify's `request.ip`: reads the connection and `X-Forwarded-For` from
 * right to left, and returns the first address that is not a trusted proxy.
 */
export function addressFinder(trustedProxies: string[]): (request: IncomingMessage) => string {
  const isOurs = memberOf(trustedProxies)
  return ({ socket: { remoteAddress = '' }, headers }) => {
    const forwarded = [headers['x-forwarded-for'] ?? []].flat().flatMap((value) => value.split(','))
    const addresses = [...forwarded.map((address) => address.trim()), remoteAddress]
    return addresses.findLast((address) => !isOurs(address)) ?? addresses[0] ?? ''
  }
}

/**
 * Warns once about a probable proxy that is not trusted. All its clients share the rate limits of one address, so one
 * client's wrong passwords would block sign-in for everyone.
 */
export function noticeUntrustedProxy(server: FastifyInstance, { config, log }: Pick<App, 'config' | 'log'>): void {
  if (config.trustedProxies.length > 0) return
  const isNear = memberOf(['loopback', 'linklocal', 'uniquelocal'])
  let noticed = false
  server.addHook('onRequest', ({ headers, ip }, _reply, done) => {
    if (!noticed && headers['x-forwarded-for'] !== undefined && isNear(ip)) {
      noticed = true
      log.warn(
        { proxy: ip },
        'requests come through a proxy that is not in TRUSTED_PROXIES: all its clients share the rate limits of one address',
      )
    }
    done()
  })
}

function memberOf(networks: string[]): (address: string) => boolean {
  const list = new BlockList()
  for (const network of networks.flatMap((name) => named[name] ?? name)) {
    const [address = '', length] = network.split('/')
    if (length === undefined) list.addAddress(address, familyOf(address))
    else list.addSubnet(address, Number(length), familyOf(address))
  }
  return (address) => isIP(address) !== 0 && list.check(address, familyOf(address))
}

const familyOf = (address: string) => (isIPv6(address) ? 'ipv6' : 'ipv4')
