import { type Static, type TUnsafe, Type } from '@sinclair/typebox'
import type pg from 'pg'
import { isWallTime } from '../../base/wall-time.ts'
import { fail } from '../../errors.ts'
import { ExternalId, Id } from '../../protocol/id.ts'
import { Priority, Severity } from '../../protocol/notification.ts'
import { textOrNull } from '../../protocol/nullable.ts'
import { SENT_TYPE } from '../../protocol/patterns.ts'
import { actorOf } from '../sends/send.ts'
import { checkMessages, type Messages, renderMessages, Values } from '../templates/message.ts'
import { Translations } from '../templates/routes.ts'
import { findTemplate } from '../templates/store.ts'
import { type Channel, channels, type TypeLookup } from '../types/types.ts'
import type { Content } from './broadcast.ts'
import type { DraftContent } from './store.ts'

const closed = { additionalProperties: false }
const TEN_YEARS_SECONDS = 315_360_000
const text = (maxLength: number) => Type.String({ minLength: 1, maxLength })

const ContentBody = Type.Object(
  {
    type: Type.Optional(Type.String({ maxLength: 100, pattern: SENT_TYPE, default: 'system' })),
    title: text(200),
    body: Type.Optional(textOrNull(undefined, { minLength: 1, maxLength: 2000 })),
    url: Type.Optional(textOrNull(undefined, { minLength: 1, maxLength: 2000 })),
    severity: Type.Optional(Severity),
    actorId: Type.Optional(Id),
    actorExternalId: Type.Optional(ExternalId),
    data: Type.Optional(Type.Record(Type.String(), Type.Unknown(), { description: 'At most 8 KiB as JSON' })),
    translations: Type.Optional(Translations),
  },
  { ...closed, description: 'Plain text, without variables' },
)

/** The functions that compile `rule` and `sql` also check them. */
export const draftOf = (rule: TUnsafe<unknown>) =>
  Type.Object(
    {
      name: text(200),
      templateId: Type.Optional(Id),
      content: Type.Optional(ContentBody),
      variables: Type.Optional(Values),
      segmentId: Type.Optional(Id),
      rule: Type.Optional(rule),
      everyone: Type.Optional(Type.Literal(true)),
      priority: Type.Optional(Priority),
      channels: Type.Optional(
        Type.Array(Type.Unsafe<Channel>({ type: 'string', enum: [...channels] }), {
          minItems: 1,
          uniqueItems: true,
          description: 'Only these, of those that the recipient wants; by default all',
        }),
      ),
      sendAt: Type.Optional(
        Type.String({
          pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d(:\\d\\d(\\.\\d+)?)?(Z|[+-]\\d\\d:\\d\\d)?$',
          description:
            'RFC 3339. With timeZone "recipient" the wall-clock time as written, without regard to an offset; by default at once',
          examples: ['2026-03-29T09:00:00Z'],
        }),
      ),
      timeZone: Type.Optional(
        Type.Literal('recipient', {
          description: 'sendAt is the wall-clock time of each recipient; UTC for those without a time zone',
        }),
      ),
      perSecond: Type.Optional(
        Type.Integer({ minimum: 1, maximum: 1_000_000, description: 'Recipients per second, at most' }),
      ),
      expiresIn: Type.Optional(
        Type.Integer({ minimum: 1, maximum: TEN_YEARS_SECONDS, description: 'Seconds from sending' }),
      ),
    },
    {
      ...closed,
      description: 'Exactly one of templateId and content; exactly one of segmentId, rule and everyone',
      examples: [{ name: 'Maintenance', content: { title: 'We are back at 10:00' }, everyone: true }],
    },
  )

export type Draft = Static<ReturnType<typeof draftOf>>

/**
 * Renders the texts of a draft now, so that nothing can fail when it is sent.
 * @throws {AppError} VALIDATION_FAILED, TEMPLATE_NOT_FOUND, BAD_TEMPLATE
 */
export async function contentOf(
  trx: pg.ClientBase,
  types: TypeLookup,
  { templateId, content, variables = {} }: Draft,
): Promise<Pick<DraftContent, 'content' | 'templateId' | 'templateVersion'>> {
  if ((templateId === undefined) === (content === undefined))
    throw fail('VALIDATION_FAILED', 'Exactly one of templateId and content', { pointer: '/content' })
  if (content !== undefined) {
    if (Object.keys(variables).length > 0)
      throw fail('VALIDATION_FAILED', 'Only a template has variables', { pointer: '/variables' })
    return { content: await plain(trx, types, content), templateId: null, templateVersion: null }
  }
  const template = await findTemplate(trx, String(templateId))
  if (!template) throw fail('TEMPLATE_NOT_FOUND')
  const nothing = { severity: null, actorId: null, data: {} }
  const words = renderMessages(template, variables)
  return {
    content: { ...words, ...nothing, type: template.type },
    templateId: template.id,
    templateVersion: template.version,
  }
}

const MOST_DATA = 8192

async function plain(trx: pg.ClientBase, types: TypeLookup, content: Static<typeof ContentBody>): Promise<Content> {
  const { type = 'system', title, body = null, url = null, severity = null, data = {}, translations = {} } = content
  if (types(type).social)
    throw fail('VALIDATION_FAILED', `${type} belongs to social actions`, { pointer: '/content/type' })
  if (Buffer.byteLength(JSON.stringify(data)) > MOST_DATA)
    throw fail('VALIDATION_FAILED', 'data must have at most 8 KiB as JSON', { pointer: '/content/data' })
  const actorId = (await actorOf(trx, content, '/content')) ?? null
  if (actorId !== null) {
    const { rowCount } = await trx.query('select from social.users where id = $1 and deleted_at is null', [actorId])
    if (rowCount === 0) throw fail('VALIDATION_FAILED', 'The actor does not exist', { pointer: '/content/actorId' })
  }
  const escaped = (words: { title: string; body?: string | null }) => ({
    title: literal(words.title),
    body: words.body ? literal(words.body) : null,
  })
  const messages: Messages = {
    ...escaped({ title, body }),
    url: url === null ? null : literal(url),
    variables: {},
    translations: Object.fromEntries(Object.entries(translations).map(([tag, words]) => [tag, escaped(words)])),
  }
  return { ...renderMessages(checkMessages(messages), {}), type, severity, actorId, data }
}

/** Escapes a text, so that as an ICU message it renders to itself. */
function literal(text: string): string {
  return text.replaceAll("'", "''").replace(/[{}]/g, "'$&'")
}

/**
 * Converts the time of a draft.
 * @throws {AppError} VALIDATION_FAILED
 */
export function timeOf({ sendAt, timeZone }: Draft): Pick<DraftContent, 'sendAt' | 'wallTime'> {
  const wrong = (detail: string) => fail('VALIDATION_FAILED', detail, { pointer: '/sendAt' })
  if (sendAt === undefined) {
    if (timeZone !== undefined) throw wrong('timeZone needs a sendAt')
    return { sendAt: null, wallTime: null }
  }
  const wallTime = wallOf(sendAt)
  if (!isWallTime(wallTime)) throw wrong(`${wallTime} is not a time`)
  if (timeZone !== undefined) return { sendAt: null, wallTime }
  if (!/(Z|[+-]\d\d:\d\d)$/.test(sendAt))
    throw wrong('A sendAt without timeZone "recipient" has an offset, for example Z')
  return { sendAt: new Date(sendAt), wallTime: null }
}

/** Date and time without the offset and fractions. */
function wallOf(time: string): string {
  const [wall = ''] = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?/.exec(time) ?? []
  return wall.length === 16 ? `${wall}:00` : wall
}
