import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import type { Config } from '../config.ts'
import { type AppError, fail } from '../errors.ts'
import { withoutBase } from '../http/fastify.ts'
import { configuredOrigins } from '../http/origin.ts'
import { endWithProblem } from '../http/problem.ts'
import { SUBPROTOCOL } from '../protocol/frames.ts'

/** The reason to refuse an upgrade, or null. Origins must match exactly. */
export function refusal(request: IncomingMessage, path: string, config: Config): AppError | null {
  if (withoutBase(pathOf(request), config.basePath) !== path)
    return fail('ROUTE_NOT_FOUND', `The websocket endpoint is ${path}`)
  if (!originAllowed(request, config)) return fail('ORIGIN_NOT_ALLOWED')
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim())
  return offered.includes(SUBPROTOCOL) ? null : fail('SUBPROTOCOL_NEEDED', `Use the subprotocol ${SUBPROTOCOL}`)
}

/**
 * Browsers always send an origin, other clients never, so a page elsewhere cannot open a socket here. Without
 * ALLOWED_ORIGINS, the origin must match the Host header. That is weaker, because anyone can point a domain here.
 */
function originAllowed({ headers: { origin, host } }: IncomingMessage, config: Config): boolean {
  if (origin === undefined || configuredOrigins(config).includes(origin)) return true
  if (config.allowedOrigins.length > 0) return false
  return origin === `http://${host}` || origin === `https://${host}`
}

/** Explains the upgrade in the answer to a plain GET of the websocket's path (RFC 9110, section 15.5.22). */
export async function socketRoute(server: FastifyInstance): Promise<void> {
  server.get('/ws', { config: { public: true }, schema: { hide: true } }, (request, reply) => {
    reply.header('upgrade', 'websocket').header('connection', 'upgrade')
    throw fail(
      'UPGRADE_REQUIRED',
      isWebsocket(request.raw)
        ? 'This process serves no websockets: connect to one with the role push or all'
        : `Connect with a websocket client and the subprotocol ${SUBPROTOCOL}`,
    )
  })
}

/** A server may ignore other upgrades, such as curl's h2c (RFC 9110, section 7.8). */
export function isWebsocket({ headers: { upgrade = '' } }: IncomingMessage): boolean {
  return upgrade.toLowerCase() === 'websocket'
}

/** Refuses an upgrade and ends the connection. */
export function refuse(socket: Duplex, request: IncomingMessage, reason: AppError): void {
  socket.on('error', () => socket.destroy())
  socket.once('finish', () => socket.destroy())
  endWithProblem(socket, reason, pathOf(request))
}

function pathOf({ url = '' }: IncomingMessage): string {
  return url.split('?', 1)[0] ?? ''
}
