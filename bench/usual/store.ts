import type pg from 'pg'
import type { NotificationJob } from './settings.ts'

/** Stores the notification of one job. Does nothing when it is already stored or its actor is blocked. */
export async function storeNotification(pool: pg.Pool, job: NotificationJob): Promise<object | undefined> {
  const values = [job.recipientId, job.sourceId, job.type, job.actorId, job.objectId]
  const { rows } = await pool.query({ name: 'insert_notification', text: insertStatement, values })
  return rows[0]
}

/** Because of the unique constraint on (user_id, source_id), a second run of a job does nothing. */
const insertStatement = `
  with stored as (
    insert into notifications (user_id, source_id, type, actor_id, object_id, data)
    select $1::bigint, $2::text, $3::text, $4::bigint, $5::bigint, jsonb_build_object('postId', $5::bigint::text)
    where not exists (select from blocks where user_id = $1::bigint and other_id = $4::bigint)
    on conflict (user_id, source_id) do nothing
    returning id, type, actor_id, data, created_at
  )
  select s.id, s.type, s.data, s.created_at as "createdAt", a.username, a.display_name as "displayName"
  from stored s join users a on a.id = s.actor_id`
