import { type IncomingMessage, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { SUBPROTOCOL } from './protocol.ts'

/** Why an upgrade is refused: the HTTP status and a sentence; null when it is not. Origins are compared exactly. */
export function refusal(
  request: IncomingMessage,
  path: string,
  allowedOrigins: string[],
): [status: number, reason: string] | null {
  if (request.url?.split('?')[0] !== path) return [404, `Websockets are at ${path}`]
  if (!originAllowed(request, allowedOrigins)) return [403, 'This origin is not allowed']
  const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim())
  return offered.includes(SUBPROTOCOL) ? null : [400, `The subprotocol must be ${SUBPROTOCOL}`]
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
export function refuse(socket: Duplex, status: number, reason: string): void {
  socket.on('error', () => socket.destroy())
  socket.once('finish', () => socket.destroy())
  socket.end(
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nConnection: close\r\nContent-Type: text/plain\r\n` +
      `Content-Length: ${Buffer.byteLength(reason)}\r\n\r\n${reason}`,
  )
}
