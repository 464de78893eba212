import { LONGEST_BEGINNING } from '../../notify/inbox/previews.ts'

/**
 * Replaces the text of a post or comment, whose row the caller has locked. Adds a fan-out when the text's beginning changes
 * and notifications show it. One statement, so that an edit needs no extra round trip. `$1`: its id, `$2`: the text, `$3`:
 * its mentions, `$4`: the thread.
 */
export function editStatement(kind: 'post' | 'comment'): string {
  const beginning = (text: string) => `left(${text}, ${LONGEST_BEGINNING + 1})`
  return `
    with before as (select ${beginning('body')} as text from social.${kind}s where id = $1::bigint),
    edited as (
      update social.${kind}s set body = $2::text, mentions = $3::jsonb, updated_at = now() where id = $1::bigint
    )
    insert into notify.fan_outs (kind, object_id, thread_key)
    select 'show_${kind}', $1::bigint, $4::text from before
    where before.text <> ${beginning('$2::text')} and exists (select from notify.notifications n where n.thread_key = $4::text)
    on conflict on constraint fan_out_once do update
    set cursor_user_id = 0, except_ids = '{}', due_at = now(), finished_at = null, attempts = 0, last_error = null`
}
