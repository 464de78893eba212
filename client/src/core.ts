import { createClient } from './client.ts'
import type { Options, Ravenpost } from './ravenpost.ts'

export { RavenpostError, SignedOut } from './errors.ts'
export { type Effect, type Held, HeldInbox, type Page } from './held-inbox.ts'
export type * from './protocol.ts'
export type * from './ravenpost.ts'
export { waitAfter } from './reconnect.ts'
export { epochOf, numberOf } from './states.ts'

/** Same as `createRavenpost` of the package, but without storage, and each tab has its own socket. */
export function createRavenpost(options: Options): Ravenpost {
  return createClient(options)
}
