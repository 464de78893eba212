import type { App } from '../../app.ts'
import { AppError, fail } from '../../errors.ts'
import type { InboxResult } from '../../notify/inbox/lock.ts'
import { archive, markRead, markSeen, markUnread, remove, resolveUpTo, unarchive } from '../../notify/inbox/mark.ts'
import { formatState, parseState } from '../../protocol/changes.ts'
import type { BadFrame, ClientFrame } from '../../protocol/frames.ts'
import type { Acknowledgements } from '../hub/acknowledgements.ts'
import type { Watching } from '../hub/watching.ts'
import type { Limits } from '../limits.ts'
import type { Connection, Identity } from './connection.ts'
import { renewToken } from './hello.ts'

/** The services that frames need. */
export type Services = { app: App; limits: Limits; acknowledgements: Acknowledgements; watching: Watching }

/** Answers one frame of a socket after its hello. */
export async function answerFrame(
  services: Services,
  connection: Connection,
  frame: ClientFrame | BadFrame,
): Promise<void> {
  const { identity } = connection
  if (!identity) return
  if (frame.type === 'error' || frame.type === 'hello') {
    if (!connection.mayErr()) return connection.close('badFrame', 'too many frames that were not understood')
    const again = { type: 'error', code: 'VALIDATION_FAILED', message: 'hello was already sent' } as const
    return connection.send(frame.type === 'error' ? frame : again)
  }
  try {
    await answer(services, connection, identity, frame)
  } catch (err) {
    const { code, message } = err instanceof AppError ? err : fail('INTERNAL')
    if (code === 'INTERNAL') connection.log('error', { err, frame: frame.type }, 'a frame could not be answered')
    connection.send({ type: 'error', ...refOf(frame), code, message })
  }
}

async function answer(
  { app, acknowledgements, watching }: Services,
  connection: Connection,
  { userId }: Identity,
  frame: Exclude<ClientFrame, { type: 'hello' }>,
): Promise<void> {
  switch (frame.type) {
    case 'ping':
      return connection.send({ type: 'pong' })
    case 'ack':
      return acknowledgements.add(userId, acknowledged(connection, frame.state))
    case 'watch':
      return watching.watch(connection, frame)
    case 'token':
      return renewToken(app, connection, frame.token)
    case 'read':
    case 'unread':
    case 'archive':
    case 'unarchive':
    case 'delete':
      return done(connection, frame.ref, await changes[frame.type](app, userId, { ids: frame.ids }))
    case 'readAll': {
      const upTo = await resolveUpTo(app.pool, userId, frame.upTo)
      return done(connection, frame.ref, await markRead(app, userId, { upTo }))
    }
    case 'seen': {
      const upTo = await resolveUpTo(app.pool, userId, frame.upTo)
      return done(connection, frame.ref, await markSeen(app, userId, upTo))
    }
  }
}

const changes = { read: markRead, unread: markUnread, archive, unarchive, delete: remove }

/** Returns the state that a client acknowledges, limited to the cursor of this socket. */
function acknowledged(connection: Connection, text: string): number {
  const state = parseState(text)
  if (state?.epoch !== connection.epoch) throw fail('BAD_STATE')
  return Math.min(state.modseq, connection.sent)
}

function done(connection: Connection, ref: string | undefined, result: InboxResult): void {
  const { epoch, modseq, unreadCount, unseenCount } = result
  connection.send({
    type: 'ok',
    ...(ref !== undefined && { ref }),
    state: formatState(epoch, modseq),
    unreadCount,
    unseenCount,
  })
}

function refOf(frame: ClientFrame): { ref?: string } {
  return 'ref' in frame && frame.ref !== undefined ? { ref: frame.ref } : {}
}
