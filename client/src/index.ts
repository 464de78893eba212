import type { Options, Ravenpost } from './ravenpost.ts'

export { RavenpostError, SignedOut } from './errors.ts'
export type * from './protocol.ts'
export type * from './ravenpost.ts'

/** A client of one user. It does nothing before `start`. */
export function createRavenpost(_options: Options): Ravenpost {
  throw new Error('under construction')
}
