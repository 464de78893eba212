import type pg from 'pg'
import { build, run } from '../../db/kysely.ts'
import { fail } from '../../errors.ts'
import { cutPage, decodeCursor } from '../../http/paging.ts'
import type { Actor } from '../../protocol/notification.ts'
import { NOBODY } from '../dispatch/model.ts'
import { unblocked } from '../rules/silences.ts'
import { type ActorRow, actorColumns, toActor } from './view.ts'

/**
 * Lists all actors of a notification, latest first, without those that a block hides. Each page reads the live sources of the
 * notification, at most `max_group_size` of its type. An index in this order would slow each event.
 * @throws {AppError} NOTIFICATION_NOT_FOUND
 */
export async function listActors(
  pool: pg.Pool,
  userId: string,
  id: string,
  { limit, cursor }: { limit: number; cursor: string | undefined },
): Promise<{ items: Actor[]; nextCursor: string | null }> {
  const [before = null] = decodeCursor(cursor, 1) ?? []
  const { count } = await run(
    pool,
    build.selectFrom('notify.notifications').select('id').where('userId', '=', userId).where('id', '=', id),
  )
  if (count === 0) throw fail('NOTIFICATION_NOT_FOUND')
  const { rows } = await pool.query<ActorRow & { latest: string }>({
    name: 'list_actors',
    text: `select a.latest, ${actorColumns}
           from (
             select s.actor_id, max(s.event_id) as latest from notify.sources s
             where s.user_id = $1 and s.notification_id = $2 and s.live and s.actor_id <> ${NOBODY}
             group by s.actor_id
           ) a
           join social.users u on u.id = a.actor_id and u.deleted_at is null
           where a.latest < coalesce($3::bigint, 9223372036854775807) and ${unblocked('$1::bigint', 'a.actor_id')}
           order by a.latest desc limit $4`,
    values: [userId, id, before, limit + 1],
  })
  const { items, nextCursor } = cutPage(rows, limit, (last) => [last.latest])
  return { items: items.map(({ latest: _, ...actor }) => toActor(actor)), nextCursor }
}
