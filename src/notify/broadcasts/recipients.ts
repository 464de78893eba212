import { type Static, Type } from '@sinclair/typebox'
import { csvLine } from '../../base/csv.ts'
import type { Reader } from '../../http/shown-sql/reader.ts'
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
type Recipient = Static<typeof Recipient>

const columns = Object.keys(Recipient.properties) as (keyof Recipient)[]
const PAGE = 2000

/** All processed recipients as CSV (RFC 4180), page by page. */
export async function* recipientsAsCsv(reader: Reader, id: string): AsyncGenerator<string> {
  let head = csvLine(columns)
  for (let after = '0'; ; ) {
    const { rows } = await reader.read('broadcast-recipients', [sourceOf({ id }), after, PAGE])
    const page = rows as Recipient[]
    yield head + page.map((row) => csvLine(columns.map((column) => row[column]))).join('')
    head = ''
    if (page.length < PAGE) return
    after = page.at(-1)?.userId ?? after
  }
}
