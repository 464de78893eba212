import { type Static, Type } from '@sinclair/typebox'
import { Notification } from './notification.ts'

/** A state as clients see it, `<epoch>.<n>`. */
const STATE_PATTERN = '^[0-9A-Za-z]{1,32}\\.(0|[1-9][0-9]{0,14})$'

export const State = Type.String({ pattern: STATE_PATTERN, description: 'State of an inbox, <epoch>.<n>' })

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

const state = new RegExp(STATE_PATTERN)

export function formatState(epoch: string, modseq: number): string {
  return `${epoch}.${modseq}`
}

/**
 * The two parts of a state; null when malformed. The caller checks that it belongs to this database and is not in the
 * future.
 */
export function parseState(text: string): { epoch: string; modseq: number } | null {
  if (!state.test(text)) return null
  const dot = text.indexOf('.')
  return { epoch: text.slice(0, dot), modseq: Number(text.slice(dot + 1)) }
}
