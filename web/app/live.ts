import { useRavenpost } from 'ravenpost-client/react'
import { useEffect, useRef } from 'react'

/** Calls back when the connection is live again after a break: what is watched starts anew, so changes may have been missed. */
export function useReconnected(callback: () => void): void {
  const { connection } = useRavenpost()
  const latest = useRef(callback)
  latest.current = callback
  useEffect(() => {
    let lost = false
    return connection.subscribe(() => {
      const { status } = connection.getSnapshot()
      if (status === 'waiting' || status === 'offline') lost = true
      if (status !== 'live' || !lost) return
      lost = false
      latest.current()
    })
  }, [connection])
}
