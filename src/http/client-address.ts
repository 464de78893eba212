import type { IncomingMessage } from 'node:http'
import { BlockList, isIP, isIPv6 } from 'node:net'

const named: Record<string, string[]> = {
  loopback: ['127.0.0.0/8', '::1/128'],
  linklocal: ['169.254.0.0/16', 'fe80::/10'],
  uniquelocal: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
}

/**
 * The address that a request comes from, where Fastify's `request.ip` is not at hand: of the connection and of
 * `X-Forwarded-For`, from the last to the first, the first one that is no proxy of ours.
 */
export function addressFinder(trustedProxies: string[]): (request: IncomingMessage) => string {
  const ours = new BlockList()
  for (const network of trustedProxies.flatMap((proxy) => named[proxy] ?? proxy)) {
    const [address = '', length] = network.split('/')
    if (length === undefined) ours.addAddress(address, familyOf(address))
    else ours.addSubnet(address, Number(length), familyOf(address))
  }
  const isOurs = (address: string) => isIP(address) !== 0 && ours.check(address, familyOf(address))
  return ({ socket: { remoteAddress = '' }, headers }) => {
    const forwarded = [headers['x-forwarded-for'] ?? []].flat().flatMap((value) => value.split(','))
    const addresses = [...forwarded.map((address) => address.trim()), remoteAddress]
    return addresses.findLast((address) => !isOurs(address)) ?? addresses[0] ?? ''
  }
}

const familyOf = (address: string) => (isIPv6(address) ? 'ipv6' : 'ipv4')
