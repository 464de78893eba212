import type { InboxItem } from 'ravenpost-client'
import { useRavenpost } from 'ravenpost-client/react'
import { useEffect } from 'react'
import { useVisible } from './bell.tsx'

/** Milliseconds for which a list must be visible before it counts as seen. */
const IN_VIEW = 1000

/** Marks notifications as seen that were visible for a second. */
export function useSeen(items: readonly InboxItem[]): void {
  const client = useRavenpost()
  const visible = useVisible()
  const anyUnseen = items.some(({ seen }) => !seen)
  const newest = items[0]?.updatedAt
  useEffect(() => {
    if (!visible || !anyUnseen || newest === undefined) return
    const timer = setTimeout(() => void client.seen(), IN_VIEW)
    return () => clearTimeout(timer)
  }, [client, visible, anyUnseen, newest])
}
