import { emitted } from '../../base/metrics.ts'
import type { InboxChanges } from '../../notify/inbox/changes.ts'
import { formatState } from '../../protocol/state.ts'
import type { Connection } from '../connections/connection.ts'

/**
 * Moves a socket's cursor to the end of the changes read after it. The socket gets a `reset` when its cursor is unknown
 * to the inbox (another epoch, a modseq that was never reached, or one lost in a crash) or when tombstones after it
 * have been purged.
 */
export function advance(connection: Connection, changes: InboxChanges, serialised: () => string): void {
  if (connection.epoch !== changes.epoch || connection.sent > changes.modseq)
    return void reset(connection, changes, 'unknownState')
  if (connection.resumes && connection.sent < changes.floor) return void reset(connection, changes, 'tooOld')
  if (changes.to > connection.sent) {
    connection.sendText('changes', serialised())
    emitted.inc(changes.upserts.length)
    connection.log('debug', { to: changes.to, requestIds: changes.requestIds }, 'sent changes')
  }
  connection.sent = changes.to
  if (connection.phase === 'catchUp') connection.caughtUp += changes.upserts.length
  if (changes.more) return
  connection.resumes = true
  if (connection.phase === 'live') return
  connection.phase = 'live'
  connection.send({ type: 'synced', state: formatState(changes.epoch, changes.to), count: connection.caughtUp })
}

function reset(connection: Connection, { epoch, modseq }: InboxChanges, reason: 'tooOld' | 'unknownState'): void {
  connection.epoch = epoch
  connection.sent = modseq
  connection.phase = 'live'
  connection.resumes = true
  connection.send({ type: 'reset', reason, state: formatState(epoch, modseq) })
}
