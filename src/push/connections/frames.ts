import type { App } from '../../app.ts'
import { AppError, fail } from '../../errors.ts'
import type { InboxResult } from '../../notify/inbox/lock.ts'
import { archive, markRead, markSeen, markUnread, remove, resolveUpTo, unarchive } from '../../notify/inbox/mark.ts'
import type { BadFrame, ClientFrame } from '../../protocol/frames.ts'
import { formatState, parseState } from '../../protocol/state.ts'
import type { Acknowledgements } from '../hub/acknowledgements.ts'
import type { Watching } from '../hub/watching.ts'
import type { Limits } from '../limits.ts'
import { renewToken } from './hello.ts'
import type { Identity, Session } from './session.ts'

/** The services that frames need. */
export type Services = { app: App; limits: Limits; acknowledgements: Acknowledgements; watching: Watching }

/** Answers one frame of a socket after its hello. */
export async function answerFrame(services: Services, session: Session, frame: ClientFrame | BadFrame): Promise<void> {
  const { identity } = session
  if (!identity) return
  if (frame.type === 'error' || frame.type === 'hello') {
    if (!session.mayErr()) return session.close('badFrame', 'too many frames that were not understood')
    const again = { type: 'error', code: 'VALIDATION_FAILED', message: 'hello was said already' } as const
    return session.send(frame.type === 'error' ? frame : again)
  }
  try {
    await answer(services, session, identity, frame)
  } catch (err) {
    const { code, message } = err instanceof AppError ? err : fail('INTERNAL')
    if (code === 'INTERNAL') session.log('error', { err, frame: frame.type }, 'a frame could not be answered')
    session.send({ type: 'error', ...refOf(frame), code, message })
  }
}

async function answer(
  { app, acknowledgements, watching }: Services,
  session: Session,
  { userId }: Identity,
  frame: Exclude<ClientFrame, { type: 'hello' }>,
): Promise<void> {
  switch (frame.type) {
    case 'ping':
      return session.send({ type: 'pong' })
    case 'ack':
      return acknowledgements.add(userId, acknowledged(session, frame.state))
    case 'watch':
      return watching.watch(session, frame)
    case 'token':
      return renewToken(app, session, frame.token)
    case 'read':
    case 'unread':
    case 'archive':
    case 'unarchive':
    case 'delete':
      return done(session, frame.ref, await changes[frame.type](app, userId, { ids: frame.ids }))
    case 'readAll': {
      const upTo = await resolveUpTo(app.pool, userId, frame.upTo)
      return done(session, frame.ref, await markRead(app, userId, { upTo }))
    }
    case 'seen': {
      const upTo = await resolveUpTo(app.pool, userId, frame.upTo)
      return done(session, frame.ref, await markSeen(app, userId, upTo))
    }
  }
}

const changes = { read: markRead, unread: markUnread, archive, unarchive, delete: remove }

/** A client can acknowledge only what this socket was sent, so a later state is reduced to the cursor. */
function acknowledged(session: Session, text: string): number {
  const state = parseState(text)
  if (state?.epoch !== session.epoch) throw fail('BAD_STATE')
  return Math.min(state.modseq, session.sent)
}

function done(session: Session, ref: string | undefined, result: InboxResult): void {
  const { epoch, modseq, unreadCount, unseenCount } = result
  session.send({
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
