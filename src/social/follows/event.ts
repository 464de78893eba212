import { Type } from '@sinclair/typebox'
import { defineAction } from '../../notify/actions.ts'
import type { Taken } from '../../notify/outbox/append.ts'
import { Id } from '../../protocol/id.ts'

/** Columns over (follower_id, followee_id). */
export const follow = defineAction({
  name: 'follow',
  columns: {
    sourceId: `'follow:' || follower_id || ':' || followee_id`,
    type: `'user.followed'`,
    recipientId: 'followee_id',
    actorId: 'follower_id',
    objectType: `'user'`,
    objectId: 'followee_id::text',
    threadKey: 'null::text',
    groupKey: `'user.followed:' || to_char(now() at time zone 'utc', 'YYYY-MM-DD')`,
    data: `jsonb_build_object('followeeId', followee_id::text)`,
  },
  data: Type.Object({ followeeId: Id }),
  counters: ({ followeeId }, { actorId }) => [
    ['follower_count', followeeId],
    ['following_count', actorId],
  ],
  objects: () => [],
})

/** The retraction of deleted follows. `deletion` is the statement without its `returning`. */
export function takenFollows(deletion: string): Taken {
  return { action: follow, ctes: `gone as (${deletion} returning follower_id, followee_id)`, from: 'gone' }
}
