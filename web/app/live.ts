import { useRavenpost } from 'ravenpost-client/react'
import { useEffect, useRef } from 'react'

/**
 * Calls back when the connection becomes live, for the first time or again. What is watched starts then, so what was fetched before
 * may have missed changes.
 */
export function useLiveAgain(callback: () => void): void {
  const { connection } = useRavenpost()
  const latest = useRef(callback)
  latest.current = callback
  useEffect(() => {
    let isLive = connection.getSnapshot().status === 'live'
    return connection.subscribe(() => {
      const wasLive = isLive
      isLive = connection.getSnapshot().status === 'live'
      if (isLive && !wasLive) latest.current()
    })
  }, [connection])
}
