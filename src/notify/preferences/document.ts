import { type Static, Type } from '@sinclair/typebox'
import { timeOrNull } from '../../protocol/nullable.ts'

const closed = { additionalProperties: false }
const onOff = Type.Optional(Type.Boolean())
const perChannel = { inApp: onOff, email: onOff, webPush: onOff }
const TimeOfDay = Type.String({ pattern: '^([01][0-9]|2[0-3]):[0-5][0-9]$' })
const TimeZone = (description: string) => Type.String({ minLength: 1, maxLength: 100, description })

const Cap = Type.Object(
  {
    atMost: Type.Integer({ minimum: 1, maximum: 100, description: 'Notifications that may make a sound' }),
    seconds: Type.Integer({ minimum: 60, maximum: 7 * 86_400, description: 'in any time of this length' }),
  },
  closed,
)
export type Cap = Static<typeof Cap>

const cap = (of: string) =>
  Type.Optional(
    Type.Union([Cap, Type.Null()], {
      description: `Limits ${of}. More than that are shown silently; their mails and pushes wait, and go out as one mail and one push.`,
      examples: [{ atMost: 3, seconds: 3600 }],
    }),
  )

const OfType = Type.Object({ ...perChannel, cap: cap('this type') }, closed)

const Digest = Type.Object(
  {
    every: Type.Unsafe<'day' | 'week'>({ type: 'string', enum: ['day', 'week'] }),
    day: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 7, description: 'Weekday of a weekly digest, 1 = Monday (the default)' }),
    ),
    at: TimeOfDay,
    timeZone: Type.Optional(TimeZone('IANA zone; that of the account when it is missing, and UTC when that is too')),
  },
  closed,
)

/**
 * A quiet window: from one local time to another on these weekdays (1 = Monday); across midnight when `to` is not after
 * `from`.
 */
const QuietWindow = Type.Object(
  {
    days: Type.Array(Type.Integer({ minimum: 1, maximum: 7 }), {
      minItems: 1,
      maxItems: 7,
      uniqueItems: true,
      description: '1 = Monday',
      examples: [[1, 2, 3, 4, 5]],
    }),
    from: TimeOfDay,
    to: Type.String({ ...TimeOfDay, description: 'On the next day when it is not after `from`', examples: ['07:00'] }),
  },
  closed,
)

const Dnd = Type.Object(
  {
    enabled: Type.Boolean(),
    timeZone: TimeZone('IANA zone, for example Europe/Berlin'),
    windows: Type.Array(QuietWindow, {
      maxItems: 50,
      description: 'Notifications arrive silently in them; mails and pushes wait',
    }),
  },
  closed,
)

const Policy = Type.Object(
  {
    strangers: Type.Optional(
      Type.Unsafe<Strangers>({
        type: 'string',
        enum: ['accept', 'filter', 'drop'],
        description: 'Users whom I do not follow. filter: only in `GET /notifications?filter=filtered`',
      }),
    ),
  },
  closed,
)
export type Strangers = 'accept' | 'filter' | 'drop'

/** A user's notification preferences. Missing keys have their default; unknown types are kept, unknown keys refused. */
export const Preferences = Type.Object(
  {
    types: Type.Optional(
      Type.Record(Type.String({ pattern: '^[\\w.:-]{1,100}$' }), OfType, {
        ...closed,
        maxProperties: 200,
        description: 'By type; decides before `channels`',
        examples: [{ 'post.liked': { email: false } }],
      }),
    ),
    channels: Type.Optional(
      Type.Object(perChannel, { ...closed, description: 'false: this channel is off for all types' }),
    ),
    policy: Type.Optional(Policy),
    dnd: Type.Optional(Dnd),
    snoozeUntil: Type.Optional(timeOrNull('Everything is silent until then', { examples: [null] })),
    cap: cap('all types together'),
    digest: Type.Optional(
      Type.Union([Digest, Type.Null()], {
        description:
          'Mails come once a day or week, with everything that is unread by then, instead of some minutes after each notification',
        examples: [{ every: 'day', at: '08:00', timeZone: 'Europe/Berlin' }],
      }),
    ),
  },
  closed,
)
export type Preferences = Static<typeof Preferences>

/** As sent: quiet hours may be incomplete. */
export const GivenPreferences = Type.Object(
  { ...Preferences.properties, dnd: Type.Optional(Type.Partial(Dnd, closed)) },
  closed,
)
export type GivenPreferences = Static<typeof GivenPreferences>

/** Default of `dnd`, and of what is missing in it. */
export const NO_DND: Static<typeof Dnd> = { enabled: false, timeZone: 'UTC', windows: [] }

/** The complete document, as returned. */
export function withDefaults({ types, channels, policy, dnd, snoozeUntil, cap, digest }: Preferences) {
  return {
    types: types ?? {},
    channels: { inApp: true, email: true, webPush: true, ...channels },
    policy: { strangers: policy?.strangers ?? ('accept' as const) },
    dnd: dnd ?? NO_DND,
    snoozeUntil: snoozeUntil ?? null,
    cap: cap ?? null,
    digest: digest ?? null,
  }
}
