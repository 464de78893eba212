import { useCallback, useEffect, useRef, useSyncExternalStore } from 'react'
import type { Filter, InboxItem, InboxSnapshot, LiveCounts, Store } from '../ravenpost.ts'
import { useRavenpost } from './context.ts'

export function useStore<T>({ subscribe, getSnapshot }: Store<T>): T {
  return useSyncExternalStore(subscribe, getSnapshot, getSnapshot)
}

/**
 * A list of notifications. Default: the inbox. Renders only after a change in this list. An item stays the same object until it
 * changes.
 */
export function useInbox(filter: Filter = {}): InboxSnapshot & { loadMore(): Promise<void>; refresh(): Promise<void> } {
  const { loadMore, refresh, ...store } = useRavenpost().list(filter)
  return { ...useStore(store), loadMore, refresh }
}

export function useUnreadCount(): number {
  const { counts } = useRavenpost()
  const get = () => counts.getSnapshot().unreadCount
  return useSyncExternalStore(counts.subscribe, get, get)
}

/** Count for a badge that becomes 0 when the bell opens. */
export function useUnseenCount(): number {
  const { counts } = useRavenpost()
  const get = () => counts.getSnapshot().unseenCount
  return useSyncExternalStore(counts.subscribe, get, get)
}

/** Number of actions that wait for the server. */
export function usePendingCount(): number {
  const { counts } = useRavenpost()
  const get = () => counts.getSnapshot().pendingCount
  return useSyncExternalStore(counts.subscribe, get, get)
}

/** The notification as shown, or undefined if it is not held. */
export function useNotification(id: string): InboxItem | undefined {
  const client = useRavenpost()
  const get = () => client.get(id)
  return useSyncExternalStore(client.subscribe, get, get)
}

/** Live counts of these posts while mounted. A post is absent until its first counts arrive. */
export function useLiveCounts(posts: readonly string[]): ReadonlyMap<string, LiveCounts> {
  const { watch, liveCounts } = useRavenpost()
  const key = posts.join()
  const last = useRef<ReadonlyMap<string, LiveCounts>>(new Map())
  useEffect(() => (key === '' ? undefined : watch({ posts: key.split(',') })), [watch, key])
  const get = useCallback(() => {
    const all = liveCounts.getSnapshot()
    const counts = new Map<string, LiveCounts>()
    for (const id of key.split(',')) {
      const of = all.get(id)
      if (of) counts.set(id, of)
    }
    if (!isSame(last.current, counts)) last.current = counts
    return last.current
  }, [liveCounts, key])
  return useSyncExternalStore(liveCounts.subscribe, get, get)
}

function isSame(a: ReadonlyMap<string, LiveCounts>, b: ReadonlyMap<string, LiveCounts>): boolean {
  return a.size === b.size && [...b].every(([id, counts]) => a.get(id) === counts)
}
