/** Targets of the mails about an account, of which there is a delivery with notification 0. This one asks whether the address is the user's. */
export const ASKS_ADDRESS = 'primary'
/** Tells the owner of a verified address that the password was changed. */
export const PASSWORD_CHANGED = 'passwordChanged'

/**
 * A statement that queues a mail about the account with the id $1, if `condition` holds for its user `u` and no such mail waits already.
 * A later mail is another mail: its id, which is made of grown_modseq, no mailbox and no digest has.
 */
export function queueAccountMail(target: string, condition: string, { critical = false } = {}): string {
  return `
    insert into notify.deliveries as d (user_id, notification_id, channel, target, grown_modseq, critical, due_at)
    select u.id, 0, 'email', '${target}', -(1000 * extract(epoch from now()))::bigint, ${critical}, now() from social.users u
    where u.id = $1::bigint and u.deleted_at is null and ${condition}
    on conflict (user_id, notification_id, channel, target) do update
    set state = 'queued', reason = null, last_error = null, attempts = 0, send_id = null, grown_modseq = excluded.grown_modseq,
      due_at = excluded.due_at, updated_at = now()
    where d.due_at is null`
}
