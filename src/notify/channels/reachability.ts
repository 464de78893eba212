import type pg from 'pg'

/**
 * Stores in the inboxes which channels reach their users. Requires locked inboxes; call it after writing the data it
 * depends on.
 */
export async function refreshReachability(client: pg.ClientBase, userIds: string[]): Promise<void> {
  await client.query(
    `update notify.inbox i set reachable_by = r.channels
     from (
       select u as user_id, array_remove(array[
         case when exists (select from social.users x where x.id = u and x.email_verified_at is not null) then 'email' end,
         case when exists (select from notify.push_subscriptions s where s.user_id = u) then 'webPush' end], null) as channels
       from unnest($1::bigint[]) u
     ) r
     where i.user_id = r.user_id and i.user_id = any($1::bigint[]) and i.reachable_by <> r.channels`,
    [userIds],
  )
}
