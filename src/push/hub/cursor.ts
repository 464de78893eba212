import { emitted } from '../../base/metrics.ts'
import type { InboxChanges } from '../../notify/inbox/changes.ts'
import { formatState } from '../../protocol/state.ts'
import type { Connection } from '../connections/connection.ts'

/**
 * Moves a socket's cursor to the end of the changes read after it. The socket gets a `reset` when its cursor is unknown
 * to the inbox (another epoch, a modseq that was never reached, or one lost in a crash) or when tombstones after it
 * have been purged. Returns whether it was sent the changes.
 */
export function advance(connection: Connection, changes: InboxChanges, serialised: () => string): boolean {
  if (connection.epoch !== changes.epoch || connection.sent > changes.modseq)
    return reset(connection, changes, 'unknownState')
  if (connection.resumes && connection.sent < changes.floor) return reset(connection, changes, 'tooOld')
  const isNew = changes.to > connection.sent
  if (isNew) {
    connection.sendText('changes', serialised())
    emitted.inc(changes.upserts.length)
    connection.log('debug', { to: changes.to, requestIds: changes.requestIds }, 'sent changes')
  }
  connection.sent = changes.to
  if (connection.phase === 'catchUp') connection.caughtUp += changes.upserts.length
  if (changes.more) return isNew
  connection.resumes = true
  if (connection.phase === 'live') return isNew
  connection.phase = 'live'
  connection.send({ type: 'synced', state: formatState(changes.epoch, changes.to), count: connection.caughtUp })
  return isNew
}

function reset(connection: Connection, { epoch, modseq }: InboxChanges, reason: 'tooOld' | 'unknownState'): false {
  connection.epoch = epoch
  connection.sent = modseq
  connection.phase = 'live'
  connection.resumes = true
  connection.send({ type: 'reset', reason, state: formatState(epoch, modseq) })
  return false
}
