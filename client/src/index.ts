import { createClient } from './client.ts'
import { accompanyWith } from './companion.ts'
import type { Options, Ravenpost } from './ravenpost.ts'
import { openStorage } from './storage.ts'
import { joinTabs } from './tabs.ts'

export { type BadgeOptions, bindBadge } from './badge.ts'
export { RavenpostError, SignedOut } from './errors.ts'
export { type PreferencesSnapshot, type PreferencesStore, preferencesOf } from './preferences.ts'
export type * from './protocol.ts'
export { createPush, followPush, type Push, type PushSnapshot, type PushState } from './push.ts'
export type * from './ravenpost.ts'
export { createToasts, type ToastOptions, type Toasts, type ToastsSnapshot } from './toasts.ts'

/**
 * Creates the client of one user. In a browser it keeps the inbox across restarts and shares one socket between tabs. It does
 * nothing before `start`.
 */
export function createRavenpost(options: Options): Ravenpost {
  // Outside a page there are no tabs, and the inbox is not stored.
  return createClient(options, typeof document === 'undefined' ? undefined : accompanyWith({ openStorage, joinTabs }))
}
