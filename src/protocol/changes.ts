import { type Static, Type } from '@sinclair/typebox'
import { Notification, State } from './notification.ts'

/** The contract's `changes` object, the same in REST and on the socket. It has counts only if `more` is false. */
export const Changes = Type.Object({
  from: State,
  to: State,
  more: Type.Boolean(),
  upserts: Type.Array(Notification),
  removes: Type.Array(Type.String()),
  unreadCount: Type.Optional(Type.Integer()),
  unseenCount: Type.Optional(Type.Integer()),
})
export type Changes = Static<typeof Changes>
