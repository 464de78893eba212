import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { Changes } from './changes.ts'
import { Comment } from './comment.ts'
import { Id } from './id.ts'

export const SUBPROTOCOL = 'ravenpost.v1'

/** Tokens of identity providers grow with the groups of a user. HTTP headers, where REST expects them, have 16 KiB in Node. */
const Token = Type.String({ minLength: 1, maxLength: 16_384 })
const State = Type.String({ minLength: 1, maxLength: 100 })
const Ids = Type.Array(Id, { minItems: 1, maxItems: 500 })
const Feed = Type.Union([Type.Literal('all'), Type.Literal('following')])
export type Feed = Static<typeof Feed>
const Ref = Type.Optional(Type.String({ maxLength: 100 }))
const frame = <T extends string, P extends Record<string, TSchema>>(type: T, properties: P) =>
  Type.Object({ type: Type.Literal(type), ...properties }, { additionalProperties: false })

/** Frames that a client can send, by `type`. */
export const clientFrames = {
  hello: frame('hello', { token: Token, since: Type.Optional(State) }),
  ack: frame('ack', { state: State }),
  read: frame('read', { ids: Ids, ref: Ref }),
  unread: frame('unread', { ids: Ids, ref: Ref }),
  archive: frame('archive', { ids: Ids, ref: Ref }),
  unarchive: frame('unarchive', { ids: Ids, ref: Ref }),
  delete: frame('delete', { ids: Ids, ref: Ref }),
  readAll: frame('readAll', { upTo: State, ref: Ref }),
  seen: frame('seen', { upTo: State, ref: Ref }),
  watch: frame('watch', {
    posts: Type.Array(Id, { maxItems: 200 }),
    comments: Type.Optional(Id),
    feed: Type.Optional(Feed),
  }),
  token: frame('token', { token: Token }),
  ping: frame('ping', {}),
}
const checks = new Map(Object.entries(clientFrames).map(([type, schema]) => [type, TypeCompiler.Compile(schema)]))

export type ClientFrame = Static<(typeof clientFrames)[keyof typeof clientFrames]>

const counts = { unreadCount: Type.Integer(), unseenCount: Type.Integer() }
const Posts = Type.Array(Type.Object({ id: Type.String(), likeCount: Type.Integer(), commentCount: Type.Integer() }))
const answer = <T extends string, P extends Record<string, TSchema>>(type: T, properties: P) =>
  Type.Object({ type: Type.Literal(type), ...properties })

/**
 * Frames that the server sends, by `type`. Counts are absolute, as of the frame's state, and only present if `more` is
 * false.
 */
export const serverFrames = {
  welcome: answer('welcome', {
    userId: Type.String(),
    sessionId: Type.String(),
    state: Type.String(),
    heartbeatSeconds: Type.Number(),
    ...counts,
  }),
  changes: answer('changes', Changes.properties),
  synced: answer('synced', { state: Type.String(), count: Type.Integer() }),
  reset: answer('reset', {
    reason: Type.Union([Type.Literal('tooOld'), Type.Literal('unknownState')]),
    state: Type.String(),
  }),
  counts: answer('counts', { posts: Posts }),
  comments: answer('comments', {
    postId: Type.String(),
    comments: Type.Array(Comment),
    removes: Type.Array(Type.String()),
  }),
  feed: answer('feed', { feed: Feed, newer: Type.Integer() }),
  ok: answer('ok', { ref: Type.Optional(Type.String()), state: Type.String(), ...counts }),
  error: answer('error', { ref: Type.Optional(Type.String()), code: Type.String(), message: Type.String() }),
  pong: answer('pong', {}),
}

export type ServerFrame = Static<(typeof serverFrames)[keyof typeof serverFrames]>

/** Answers an invalid frame. `ref` is the client's, if readable. */
export type BadFrame = { type: 'error'; ref?: string; code: 'BAD_JSON' | 'VALIDATION_FAILED'; message: string }

export const notText: BadFrame = { type: 'error', code: 'BAD_JSON', message: 'Frames are text, not binary' }

/** The frame in a text, checked against its schema, or the `error` frame to answer with. */
export function parseFrame(text: string): ClientFrame | BadFrame {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return { type: 'error', code: 'BAD_JSON', message: 'The frame is not JSON' }
  }
  const type = property(value, 'type')
  const ref = property(value, 'ref')
  // Not String(type), which throws for a deeply nested array.
  const check = typeof type === 'string' ? checks.get(type) : undefined
  // The type is a literal of the schema that is checked here.
  if (check?.Check(value)) return value as ClientFrame
  const first = check?.Errors(value).First()
  return {
    type: 'error',
    ...(typeof ref === 'string' && ref.length <= 100 && { ref }),
    code: 'VALIDATION_FAILED',
    message: first
      ? `${first.path || 'The frame'}: ${first.message}`
      : `type must be one of ${[...checks.keys()].join(', ')}`,
  }
}

function property(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
}
