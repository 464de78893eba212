import { type Static, Type } from '@sinclair/typebox'

const closed = { additionalProperties: false }
const onOff = Type.Optional(Type.Boolean())
const PerChannel = Type.Object({ inApp: onOff, email: onOff, webPush: onOff }, closed)
const TimeOfDay = Type.String({ pattern: '^([01][0-9]|2[0-3]):[0-5][0-9]$' })

/** On weekdays (1 = Monday) from one time of the wall clock to another; across midnight when `to` is not after `from`. */
const QuietWindow = Type.Object(
  {
    days: Type.Array(Type.Integer({ minimum: 1, maximum: 7 }), { minItems: 1, maxItems: 7, uniqueItems: true }),
    from: TimeOfDay,
    to: TimeOfDay,
  },
  closed,
)

const Dnd = Type.Object(
  {
    enabled: Type.Boolean(),
    timeZone: Type.String({ minLength: 1, maxLength: 100, description: 'IANA zone, for example Europe/Berlin' }),
    windows: Type.Array(QuietWindow, { maxItems: 50 }),
  },
  closed,
)

const Policy = Type.Object(
  { strangers: Type.Optional(Type.Unsafe<Strangers>({ type: 'string', enum: ['accept', 'filter', 'drop'] })) },
  closed,
)
export type Strangers = 'accept' | 'filter' | 'drop'

/** What a user says about notifications; what is missing means the default. Unknown types are kept, unknown keys refused. */
export const Preferences = Type.Object(
  {
    types: Type.Optional(
      Type.Record(Type.String({ pattern: '^[\\w.:-]{1,100}$' }), PerChannel, { ...closed, maxProperties: 200 }),
    ),
    channels: Type.Optional(PerChannel),
    policy: Type.Optional(Policy),
    dnd: Type.Optional(Dnd),
    snoozeUntil: Type.Optional(Type.Unsafe<string | null>({ type: ['string', 'null'], format: 'date-time' })),
  },
  closed,
)
export type Preferences = Static<typeof Preferences>

/** The document as it is answered: whole. */
export function withDefaults({ types, channels, policy, dnd, snoozeUntil }: Preferences) {
  return {
    types: types ?? {},
    channels: { inApp: true, email: true, webPush: true, ...channels },
    policy: { strangers: policy?.strangers ?? ('accept' as const) },
    dnd: dnd ?? { enabled: false, timeZone: 'UTC', windows: [] },
    snoozeUntil: snoozeUntil ?? null,
  }
}
