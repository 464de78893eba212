import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { type AppError, fail } from '../errors.ts'
import { endWithProblem } from '../http/problem.ts'
import { SUBPROTOCOL } from '../protocol/frames.ts'

/** Why an upgrade is refused; null when it is not. Origins are compared exactly. */
export function refusal(request: IncomingMessage, path: string, allowedOrigins: string[]): AppError | null {
  if (pathOf(request) !== path) return fail('ROUTE_NOT_FOUND', `Websockets are at ${path}`)
  if (!originAllowed(request, allowedOrigins)) return fail('ORIGIN_NOT_ALLOWED')
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim())
  return offered.includes(SUBPROTOCOL) ? null : fail('SUBPROTOCOL_NEEDED', `It is ${SUBPROTOCOL}`)
}

/**
 * Browsers always send an origin, other clients none: a page elsewhere cannot open a socket here. Only without a list is the
 * server's own origin taken from the host that the request names, which whoever controls a name may point here.
 */
function originAllowed({ headers: { origin, host } }: IncomingMessage, allowedOrigins: string[]): boolean {
  if (origin === undefined) return true
  if (allowedOrigins.length > 0) return allowedOrigins.includes(origin)
  return origin === `http://${host}` || origin === `https://${host}`
}

/** Answers an upgrade that is refused, and ends the connection. */
export function refuse(socket: Duplex, request: IncomingMessage, reason: AppError): void {
  socket.on('error', () => socket.destroy())
  socket.once('finish', () => socket.destroy())
  endWithProblem(socket, reason, pathOf(request))
}

function pathOf({ url = '' }: IncomingMessage): string {
  return url.split('?', 1)[0] ?? ''
}
