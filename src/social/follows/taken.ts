import type { Taken } from '../../notify/outbox/append-retractions.ts'

/** What the deletion of follows takes back; `deletion` is the statement without its `returning`. */
export function takenFollows(deletion: string): Taken {
  return {
    ctes: `gone as (${deletion} returning follower_id, followee_id)`,
    action: 'follow',
    sourceId: `'follow:' || follower_id || ':' || followee_id`,
    recipientId: 'followee_id',
    type: 'user.followed',
    actorId: 'follower_id',
    objectType: 'user',
    objectId: 'followee_id',
    threadKey: 'null',
    data: `jsonb_build_object('followeeId', followee_id::text)`,
  }
}
