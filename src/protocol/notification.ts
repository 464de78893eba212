import { type Static, Type } from '@sinclair/typebox'
import { textOrNull, timeOrNull } from './nullable.ts'
import { STATE_PATTERN } from './state.ts'

const text = Type.String()
const describedText = (description: string) => Type.String({ description })
const time = (description: string) => Type.String({ format: 'date-time', description })

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
  avatarMediaId: textOrNull(),
  avatarUrl: AvatarUrl,
})
export type Actor = Static<typeof Actor>

/** A notification as its user sees it, in REST and on the socket. */
export const Notification = Type.Object({
  id: describedText('Unique within the inbox'),
  type: describedText('Such as post.liked; more types may come'),
  priority: Priority,
  severity: Severity,
  title: describedText('In the language of the user, at most 200 characters'),
  body: textOrNull('The sent text, or the beginning of the post or comment'),
  url: textOrNull('A path of the app, or http(s)'),
  data: Type.Record(Type.String(), Type.Unknown(), { description: 'Ids by type; for a send, the sent data' }),
  actors: Type.Array(Actor, { maxItems: 3, description: 'Users behind it, latest first' }),
  actorCount: Type.Integer({ description: 'Number of distinct users behind it' }),
  object: Type.Union([Type.Object({ type: text, id: text }), Type.Null()], { description: 'What it is about' }),
  groupKey: textOrNull('Notifications of one key are one while its group is open'),
  fallback: describedText('Plain text for clients that do not know the type'),
  createdAt: time('Time of its first event'),
  updatedAt: time('Time at which its content last grew; lists sort by it'),
  deliveredAt: timeOrNull('Time at which a device acknowledged it'),
  readAt: timeOrNull('Time at which the user read it'),
  archivedAt: timeOrNull('Time at which the user archived it'),
  expiresAt: time('Time at which it is removed'),
  seen: Type.Boolean({ description: 'It is read, or the bell was opened after its content last grew' }),
  silent: Type.Boolean({ description: 'Show it without toast or sound' }),
})
export type Notification = Static<typeof Notification>
