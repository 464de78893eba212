import { type Static, Type } from '@sinclair/typebox'
import { Notification, State } from './notification.ts'

/** The contract's `changes` object, the same in REST and on the socket. It has counts only if `more` is false. */
export const Changes = Type.Object({
  from: Type.String({ ...State, description: 'State before these changes, <epoch>.<n>' }),
  to: Type.String({ ...State, description: 'State after these changes, <epoch>.<n>' }),
  more: Type.Boolean({ description: 'More changes follow, from `to`' }),
  upserts: Type.Array(Notification, {
    description: 'Created or changed between the two states; each once, as it is now',
  }),
  removes: Type.Array(Type.String(), { description: 'Ids of notifications that are gone', examples: [['41']] }),
  unreadCount: Type.Optional(Type.Integer({ description: 'As of `to`; absent where `more` is true' })),
  unseenCount: Type.Optional(Type.Integer({ description: 'As of `to`; absent where `more` is true' })),
})
export type Changes = Static<typeof Changes>
