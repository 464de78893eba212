import { type Static, Type } from '@sinclair/typebox'
import { STATE_PATTERN } from './state.ts'

const text = Type.String()
const time = Type.String({ format: 'date-time' })
const textOrNull = Type.Unsafe<string | null>({ type: ['string', 'null'] })
const timeOrNull = Type.Unsafe<string | null>({ type: ['string', 'null'], format: 'date-time' })

export const State = Type.String({ pattern: STATE_PATTERN, description: 'State of an inbox, <epoch>.<n>' })

/** Highest priority first. */
export const priorities = ['critical', 'high', 'normal', 'low'] as const
export const Priority = Type.Unsafe<(typeof priorities)[number]>({ type: 'string', enum: [...priorities] })
export type Priority = Static<typeof Priority>

export const Severity = Type.Unsafe<'info' | 'success' | 'warning' | 'error'>({
  type: 'string',
  enum: ['info', 'success', 'warning', 'error'],
})
export type Severity = Static<typeof Severity>

/** Only for users of another application. */
export const AvatarUrl = Type.Optional(
  Type.String({
    description: 'URL of a picture hosted by another application, used when avatarMediaId is null',
  }),
)

export const Actor = Type.Object({
  id: text,
  username: text,
  displayName: text,
  avatarMediaId: textOrNull,
  avatarUrl: AvatarUrl,
})
export type Actor = Static<typeof Actor>

/** A notification as its user sees it, in REST and on the socket. */
export const Notification = Type.Object({
  id: text,
  type: text,
  priority: Priority,
  severity: Severity,
  title: text,
  body: textOrNull,
  url: textOrNull,
  data: Type.Record(Type.String(), Type.Unknown()),
  actors: Type.Array(Actor, { maxItems: 3 }),
  actorCount: Type.Integer(),
  object: Type.Union([Type.Object({ type: text, id: text }), Type.Null()]),
  groupKey: textOrNull,
  fallback: text,
  createdAt: time,
  updatedAt: time,
  deliveredAt: timeOrNull,
  readAt: timeOrNull,
  archivedAt: timeOrNull,
  expiresAt: time,
  seen: Type.Boolean(),
  silent: Type.Boolean(),
})
export type Notification = Static<typeof Notification>
