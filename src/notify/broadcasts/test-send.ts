import type pg from 'pg'
import { wordsFor } from '../templates/message.ts'
import type { Broadcast } from './broadcast.ts'

/**
 * Sends the content to these users immediately. Each call sends new notifications. Returns the number of users with an
 * inbox.
 */
export async function sendTest(
  trx: pg.ClientBase,
  broadcast: Broadcast,
  userIds: string[],
  requestId: string,
): Promise<number> {
  const { id, content, priority } = broadcast
  const { rows } = await trx.query<{ locale: string | null; ids: string[]; number: string }>(
    `select locale, array_agg(id::text) as ids, nextval('notify.outbox_id_seq') as number
     from social.users where id = any($1::bigint[]) and deleted_at is null group by locale`,
    [userIds],
  )
  let accepted = 0
  for (const { locale, ids, number } of rows) {
    const { title, body } = wordsFor(content, locale)
    const sent = await trx.query<{ accepted: number }>(
      `select notify.append_send($1, $2::bigint[], $3, $4, $5, $6, $7::bigint, null, null, null, $8::jsonb, $9, $10, null, $11)::int as accepted`,
      [
        `send:broadcast-test:${id}:${number}`,
        ids,
        content.type,
        title,
        body,
        content.url,
        content.actorId,
        JSON.stringify(content.data),
        priority,
        content.severity,
        requestId,
      ],
    )
    accepted += sent.rows[0]?.accepted ?? 0
  }
  return accepted
}
