import type pg from 'pg'
import type { App } from '../../app.ts'
import { LONGEST_ACCESS_TOKEN } from '../../config.ts'
import { inTransaction } from '../../db/transaction.ts'
import { fail } from '../../errors.ts'
import { forgetEnded } from '../../notify/channels/web-push/subscriptions.ts'
import { endSession } from '../sessions/revoked-sessions.ts'

/**
 * Marks the account as deleted, overwrites personal data, and ends its sessions, in one transaction. The username stays
 * reserved. The fan-out created here takes back the user's actions in chunks. `then` runs at the end of the transaction.
 * @throws {AppError} USER_NOT_FOUND when it was deleted before
 */
export async function deleteUser(
  app: App,
  userId: string,
  then?: (trx: pg.ClientBase) => Promise<void>,
): Promise<void> {
  const sessions = await inTransaction(app.pool, async (client) => {
    const { rowCount } = await client.query(
      'select from social.users where id = $1::bigint and deleted_at is null for update',
      [userId],
    )
    if (rowCount === 0) throw fail('USER_NOT_FOUND')
    await client.query(
      `insert into social.taken_names (look) select social.name_look(username) from social.users where id = $1::bigint
       on conflict do nothing`,
      [userId],
    )
    await client.query(
      `insert into social.ended_external_ids (hash)
       select sha256(convert_to(external_id, 'utf8')) from social.users where id = $1::bigint and external_id is not null
       on conflict (hash) do update set ended_at = excluded.ended_at`,
      [userId],
    )
    await client.query(forgetPerson, [userId])
    await client.query(
      `insert into notify.fan_outs (kind, object_id) values ('delete_user', $1::bigint)
       on conflict on constraint fan_out_once do nothing`,
      [userId],
    )
    const { rows } = await client.query<{ id: string }>(endSessions, [userId, LONGEST_ACCESS_TOKEN])
    await forgetEnded(client, userId)
    await then?.(client)
    return rows
  })
  for (const { id } of sessions) endSession(app, id)
}

const forgetPerson = `
  update social.users
  set deleted_at = now(),
      username = 'deleted_' || id,
      external_id = null,
      email = 'deleted-' || id || '@invalid',
      email_verified_at = null,
      new_email = null,
      locale = null,
      time_zone = null,
      display_name = 'Deleted user',
      bio = '',
      avatar_media_id = null,
      avatar_url = null,
      password_hash = '!'
  where id = $1::bigint`

/**
 * The rows remain while an access token of any process may be valid, because other processes read revocations from
 * them.
 */
const endSessions = `
  update social.sessions set revoked_at = coalesce(revoked_at, now()), user_agent = '', network = null,
    expires_at = least(expires_at, now() + make_interval(secs => $2::int) + interval '1 minute')
  where user_id = $1::bigint returning id`
