/** Why the server closes a socket. docs/protocol.md describes what a client should do then. */
export const closeCodes = {
  goingAway: [1001, 'server is going away'],
  badFrame: [4400, 'not the protocol'],
  badToken: [4401, 'bad or expired token'],
  forbidden: [4403, 'session revoked'],
  timeout: [4408, 'no hello or no pong in time'],
  tooMany: [4429, 'too many sockets or frames'],
} as const satisfies Record<string, readonly [code: number, reason: string]>

export type CloseReason = keyof typeof closeCodes
