import type { InboxItem } from 'ravenpost-client'
import { useRavenpost } from 'ravenpost-client/react'
import { useEffect } from 'react'
import { useVisible } from './bell.tsx'

/** So long a list has to be in view. Milliseconds. */
const IN_VIEW = 1000

/** What is shown for a second counts as seen. */
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
