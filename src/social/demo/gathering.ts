import { type Static, Type } from '@sinclair/typebox'
import type { Queryable } from '../../db/client.ts'
import type { TypeLookup } from '../../notify/types/types.ts'

/** Settings for groups of one type of notification, and the current group of a post for its author. */
export const Gathering = Type.Object({
  type: Type.String(),
  instantThreshold: Type.Integer({ description: 'Actors shown one by one before grouping starts' }),
  windowSeconds: Type.Integer(),
  jitter: Type.Number({ description: 'Random share by which windows are lengthened or shortened' }),
  delivered: Type.Integer({ description: 'Actors shown; 0 for anyone but the author' }),
  waiting: Type.Integer({ description: 'Actors who wait for the end of the window; 0 for anyone but the author' }),
  flushesAt: Type.Union([Type.String({ format: 'date-time' }), Type.Null()]),
})
export const Simulation = Type.Object({ likes: Gathering, comments: Gathering })

type Place = { type: string; delivered: number; waiting: number; flushesAt: Date | null }

export async function readSimulation(
  db: Queryable,
  typeOf: TypeLookup,
  post: { id: string; authorId: string },
  viewerId: string,
): Promise<Static<typeof Simulation>> {
  const { rows } = await db.query<Place>(
    `select k.type,
       (select coalesce(sum(n.actor_count), 0)::int from notify.notifications n
        where n.thread_key = $2 and n.user_id = $1 and n.type = k.type) as delivered,
       (select count(*)::int from notify.sources s where s.user_id = $1 and s.waits_for = k.type || ':' || $3) as waiting,
       (select min(w.due_at) from notify.windows w where w.user_id = $1 and w.group_key = k.type || ':' || $3) as "flushesAt"
     from unnest(array['post.liked', 'comment.created']) k (type)
     where $1 = $4`,
    [post.authorId, `post:${post.id}`, post.id, viewerId],
  )
  const gathering = (type: string) => {
    const { instantThreshold, windowSeconds, jitter } = typeOf(type)
    const place = rows.find((row) => row.type === type)
    return {
      type,
      instantThreshold,
      windowSeconds,
      jitter,
      delivered: place?.delivered ?? 0,
      waiting: place?.waiting ?? 0,
      flushesAt: place?.flushesAt?.toISOString() ?? null,
    }
  }
  return { likes: gathering('post.liked'), comments: gathering('comment.created') }
}
