export type { BadgeOptions } from '../badge.ts'
export type { PushSnapshot, PushState } from '../push.ts'
export type { ToastOptions, ToastsSnapshot } from '../toasts.ts'
export { useConnection } from './connection.ts'
export { RavenpostProvider, useRavenpost } from './context.ts'
export {
  useInbox,
  useLiveCounts,
  useNotification,
  usePendingCount,
  useStore,
  useUnreadCount,
  useUnseenCount,
} from './inbox.ts'
export { usePreferences, usePush, useWhy } from './settings.ts'
export { useBadge, usePushClicks, useToasts } from './toasts.ts'
