import { emitted } from '../../base/metrics.ts'
import type { InboxChanges } from '../../notify/inbox/changes.ts'
import { formatState } from '../../protocol/state.ts'
import type { Session } from '../connections/session.ts'

/**
 * Moves a socket's cursor to the end of the changes read after it. The socket gets a `reset` when its cursor is unknown
 * to the inbox (another epoch, a modseq that was never reached, or one lost in a crash) or when tombstones after it
 * have been purged.
 */
export function advance(session: Session, changes: InboxChanges, serialised: () => string): void {
  if (session.epoch !== changes.epoch || session.sent > changes.modseq)
    return void reset(session, changes, 'unknownState')
  if (session.resumes && session.sent < changes.floor) return void reset(session, changes, 'tooOld')
  if (changes.to > session.sent) {
    session.sendText('changes', serialised())
    emitted.inc(changes.upserts.length)
    session.log('debug', { to: changes.to, requestIds: changes.requestIds }, 'sent changes')
  }
  session.sent = changes.to
  if (session.phase === 'catchUp') session.caughtUp += changes.upserts.length
  if (changes.more) return
  session.resumes = true
  if (session.phase === 'live') return
  session.phase = 'live'
  session.send({ type: 'synced', state: formatState(changes.epoch, changes.to), count: session.caughtUp })
}

function reset(session: Session, { epoch, modseq }: InboxChanges, reason: 'tooOld' | 'unknownState'): void {
  session.epoch = epoch
  session.sent = modseq
  session.phase = 'live'
  session.resumes = true
  session.send({ type: 'reset', reason, state: formatState(epoch, modseq) })
}
