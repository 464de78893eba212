import { type Static, Type } from '@sinclair/typebox'
import type pg from 'pg'
import { quotedField, withoutFormula } from '../../base/csv.ts'
import { Id } from '../../protocol/id.ts'
import { textOrNull, timeOrNull } from '../../protocol/nullable.ts'
import { sourceOf } from './broadcast.ts'

export const Recipient = Type.Object({
  userId: Id,
  externalId: textOrNull(),
  username: textOrNull(),
  decision: Type.String({
    examples: ['shown'],
    description: 'As in notify.sources: shown, filtered, suppressed, retracted, …',
  }),
  decidedBy: textOrNull(),
  decidedAt: Type.String({ format: 'date-time' }),
  notificationId: textOrNull(),
  deliveredAt: timeOrNull(),
  readAt: timeOrNull(),
  email: textOrNull(),
  webPush: textOrNull(),
})
export type Recipient = Static<typeof Recipient>

type Row = Omit<Recipient, 'decidedAt' | 'deliveredAt' | 'readAt'> & {
  decidedAt: Date
  deliveredAt: Date | null
  readAt: Date | null
}

/** Recipients about whom it was decided, by user id, those after the given one. */
export async function listRecipients(pool: pg.Pool, id: string, after: string, limit: number): Promise<Recipient[]> {
  const { rows } = await pool.query<Row>({
    name: 'recipients_of_broadcast',
    text: `select s.user_id as "userId", u.external_id as "externalId", case when u.deleted_at is null then u.username end as username,
             s.decision, s.decided_by as "decidedBy", s.decided_at as "decidedAt", s.notification_id::text as "notificationId",
             n.delivered_at as "deliveredAt", n.read_at as "readAt", d.email, d.web_push as "webPush"
           from (
             select * from notify.sources s
             where s.source_id = $1 and s.source_id like 'broadcast:%' and s.user_id > $2::bigint order by s.user_id limit $3
           ) s
           left join social.users u on u.id = s.user_id
           left join notify.notifications n on n.user_id = s.user_id and n.id = s.notification_id
           left join lateral (
             select max(d.state) filter (where d.channel = 'email') as email, max(d.state) filter (where d.channel = 'webPush') as web_push
             from notify.deliveries d where d.user_id = s.user_id and d.notification_id = s.notification_id
           ) d on true
           order by s.user_id`,
    values: [sourceOf({ id }), after, limit],
  })
  return rows.map(({ decidedAt, deliveredAt, readAt, ...row }) => ({
    ...row,
    decidedAt: decidedAt.toISOString(),
    deliveredAt: deliveredAt ? deliveredAt.toISOString() : null,
    readAt: readAt ? readAt.toISOString() : null,
  }))
}

const columns = Object.keys(Recipient.properties) as (keyof Recipient)[]
const PAGE = 2000

/** All of them as CSV (RFC 4180), page by page. */
export async function* recipientsAsCsv(pool: pg.Pool, id: string): AsyncGenerator<string> {
  yield `${columns.join(',')}\r\n`
  for (let after = '0'; ; ) {
    const page = await listRecipients(pool, id, after, PAGE)
    if (page.length > 0)
      yield page.map((row) => `${columns.map((column) => field(row[column])).join(',')}\r\n`).join('')
    if (page.length < PAGE) return
    after = page.at(-1)?.userId ?? after
  }
}

function field(value: string | null): string {
  const text = withoutFormula(value ?? '')
  return /[",\r\n]/.test(text) ? quotedField(text) : text
}
