import { type Static, type TProperties, Type } from '@sinclair/typebox'
import { textOrNull, timeOrNull } from './nullable.ts'

/**
 * Option of an open schema: schemas of the values that are known. The API's documents list them before the open one;
 * the server does not check them, because applications send types and data of their own.
 */
export const KNOWN = 'x-known'

const text = Type.String()
const describedText = (description: string) => Type.String({ description })
const never = { examples: [null] }
const time = (description: string) => Type.String({ format: 'date-time', description })

/** The priorities, highest first. */
export const priorities = ['critical', 'high', 'normal', 'low'] as const
export const Priority = Type.Unsafe<(typeof priorities)[number]>({ type: 'string', enum: [...priorities] })
export type Priority = Static<typeof Priority>

export const Severity = Type.Unsafe<'info' | 'success' | 'warning' | 'error'>({
  type: 'string',
  enum: ['info', 'success', 'warning', 'error'],
})
export type Severity = Static<typeof Severity>

/** Address of a picture, only for users of another application. */
export const AvatarUrl = Type.Optional(
  Type.String({
    description: 'URL of a picture hosted by another application, used when avatarMediaId is null',
    examples: ['https://app.example.org/avatars/42.png'],
  }),
)

export const AvatarMediaId = textOrNull('Picture, at /media/{id}/stream', { examples: ['tLoT_0VF5zSkEiKNx8zBuA'] })

export const Actor = Type.Object({
  id: describedText('Id of the user'),
  username: text,
  displayName: text,
  avatarMediaId: AvatarMediaId,
  avatarUrl: AvatarUrl,
})
export type Actor = Static<typeof Actor>

const postId = describedText('Id of the post')
const commentId = describedText('Id of the comment')
const mediaId = Type.Optional(
  Type.String({ description: 'First picture of the post or comment, at /media/{id}/stream; absent without one' }),
)
const mentioned = Type.Optional(Type.Boolean({ description: 'true when the comment also names the recipient' }))
const dataOf = (type: string, properties: TProperties) =>
  Type.Object(properties, { description: `\`data\` of \`${type}\``, additionalProperties: true })

/** `data` of the built-in types, by type. Other types have what was sent. */
export const socialData = {
  'post.liked': dataOf('post.liked', { postId, mediaId }),
  'comment.created': dataOf('comment.created', {
    postId,
    commentId,
    parentId: textOrNull('Id of the comment it replies to'),
    mentioned,
    mediaId,
  }),
  'comment.replied': dataOf('comment.replied', {
    postId,
    commentId,
    parentId: describedText('Id of the comment it replies to, which is the object'),
    mentioned,
    mediaId,
  }),
  'user.mentioned': dataOf('user.mentioned', {
    postId,
    commentId: Type.Optional(Type.String({ description: 'Id of the comment; absent for a mention in a post' })),
    parentId: Type.Optional(textOrNull('Id of the comment it replies to; absent for a mention in a post')),
    mediaId,
  }),
  'user.followed': dataOf('user.followed', { followeeId: describedText('Id of the followed user, the recipient') }),
  'post.published': dataOf('post.published', { postId, mediaId }),
}

/** A notification as its user sees it, in REST and on the socket. */
export const Notification = Type.Object({
  id: describedText('Unique within the inbox'),
  type: Type.String({
    description: 'A built-in type, `system`, or a name that an application sent. More types may come',
    [KNOWN]: [{ type: 'string', enum: [...Object.keys(socialData), 'system'] }],
    examples: ['post.liked'],
  }),
  priority: Type.Unsafe<Priority>({
    ...Priority,
    examples: ['low'],
    description: 'critical ones ignore preferences and quiet hours',
  }),
  severity: Type.Unsafe<Severity>({ ...Severity, description: 'For the color of a toast' }),
  title: describedText('In the language of the user, at most 200 characters'),
  body: textOrNull('The sent text, or the beginning of the post or comment', { examples: ['Birds and bread'] }),
  url: textOrNull('A path of the app, or http(s)'),
  data: Type.Record(Type.String(), Type.Unknown(), {
    description: 'By type: `PostLikedData` for `post.liked`, and so on; the sent data for types of applications',
    [KNOWN]: Object.values(socialData),
    examples: [{ postId: '9' }],
  }),
  actors: Type.Array(Actor, {
    maxItems: 3,
    description: 'Users behind it. People the recipient follows come first, then the latest',
  }),
  actorCount: Type.Integer({ description: 'Number of distinct users behind it' }),
  object: Type.Union(
    [
      Type.Object({
        type: describedText('post, comment or user; for a send, as sent'),
        id: describedText('Id of the object'),
      }),
      Type.Null(),
    ],
    { description: 'What it is about', examples: [{ type: 'post', id: '9' }] },
  ),
  groupKey: textOrNull('Events of one key are one notification until it is read or archived', {
    examples: ['post.liked:9'],
  }),
  fallback: Type.String({
    description: 'Title and body as plain text, for clients that do not know the type',
    examples: ['Ana liked your post: Birds and bread'],
  }),
  createdAt: time('Time of its first event'),
  updatedAt: time('Time at which its content last grew; lists sort by it'),
  deliveredAt: timeOrNull('Time at which a device acknowledged it', never),
  readAt: timeOrNull('Time at which the user read it', never),
  archivedAt: timeOrNull('Time at which the user archived it', never),
  expiresAt: Type.String({
    format: 'date-time',
    description: 'Time at which it is removed',
    examples: ['2026-05-01T12:00:00.000Z'],
  }),
  seen: Type.Boolean({ description: 'It is read, or the bell was opened after its content last grew' }),
  silent: Type.Boolean({ description: 'Show it without toast or sound' }),
})
export type Notification = Static<typeof Notification>
