import type { Taken } from '../../notify/outbox/append.ts'
import { follow } from './event.ts'

/** The retraction of deleted follows. `deletion` is the statement without its `returning`. */
export function takenFollows(deletion: string): Taken {
  return { action: follow, ctes: `gone as (${deletion} returning follower_id, followee_id)`, from: 'gone' }
}
