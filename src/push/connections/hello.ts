import type { App } from '../../app.ts'
import { rejectedHellos } from '../../base/metrics.ts'
import { AppError } from '../../errors.ts'
import { formatState, parseState } from '../../protocol/changes.ts'
import { type CloseReason, closeCodes } from '../../protocol/close-codes.ts'
import type { BadFrame, ClientFrame } from '../../protocol/frames.ts'
import type { Hub } from '../hub/hub.ts'
import type { Limits } from '../limits.ts'
import type { Connection } from './connection.ts'
import type { Welcomes } from './welcomes.ts'

export type HelloContext = { app: App; hub: Hub; limits: Limits; welcomes: Welcomes }

/**
 * Handles the first frame of a socket: verifies the token, looks up the session, and starts the catch-up after `since`.
 * The socket joins its user before any read, so that it does not miss a change or revocation in between.
 */
export async function handleHello(
  { app, hub, limits, welcomes }: HelloContext,
  connection: Connection,
  frame: ClientFrame | BadFrame,
): Promise<void> {
  if (frame.type !== 'hello') return reject(connection, 'badFrame', 'the first frame must be a valid hello')
  const token = await app.sessions.identify(frame.token)
  if (token instanceof AppError) return reject(connection, reasonOf(token), token.message)
  if (!connection.open) return
  const { userId, sessionId } = token
  connection.identity = { userId, sessionId }
  if (!hub.maySpend(connection, limits.helloCost)) return reject(connection, 'tooMany', 'too many frames')
  if (!hub.join(connection, userId)) return reject(connection, 'tooMany', 'too many sockets of this user')

  const inbox = await welcomes.add('hello', { userId, sessionId })
  if (!inbox) return reject(connection, 'forbidden')
  if (!connection.open) return
  const { epoch, modseq, acked, unreadCount, unseenCount } = inbox
  const since = frame.since === undefined ? { epoch, modseq: acked } : parseState(frame.since)
  // A state that this inbox never had leads to a reset. As the cursor, it would let acks go beyond what was sent.
  const known = since?.epoch === epoch && since.modseq <= modseq ? since : { epoch: '', modseq: 0 }
  connection.epoch = known.epoch
  connection.sent = known.modseq
  connection.resumes = frame.since !== undefined
  connection.expireAt(token.expiresAt)
  connection.log('info', { since: frame.since }, 'hello')
  const [state, heartbeatSeconds] = [formatState(epoch, modseq), limits.heartbeatMs / 1000]
  connection.send({ type: 'welcome', userId, sessionId, state, unreadCount, unseenCount, heartbeatSeconds })
  connection.phase = 'catchUp'
  hub.readFor(connection, modseq)
}

/** Accepts a new token of the same user, possibly from a later sign-in. */
export async function renewToken(app: App, connection: Connection, text: string): Promise<void> {
  const token = await app.sessions.identify(text)
  if (token instanceof AppError) return connection.close(reasonOf(token), token.message)
  if (token.userId !== connection.identity?.userId) return connection.close('forbidden', 'a token of another user')
  connection.identity = { userId: token.userId, sessionId: token.sessionId }
  if (!(await app.sessions.isLive(app.db, token.sessionId))) return connection.close('forbidden')
  connection.expireAt(token.expiresAt)
}

/** What a client has to do after a refused token: get a new one, retry later, or give up. */
function reasonOf({ code }: AppError): CloseReason {
  if (code === 'IDENTITY_PROVIDER_UNAVAILABLE') return 'goingAway'
  return code === 'SESSION_ENDED' || code === 'USER_NOT_PROVISIONED' ? 'forbidden' : 'badToken'
}

function reject(connection: Connection, reason: CloseReason, detail?: string): void {
  if (connection.open) rejectedHellos.inc({ code: String(closeCodes[reason][0]) })
  connection.close(reason, detail)
}
