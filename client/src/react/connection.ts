import { useEffect, useState } from 'react'
import type { ConnectionSnapshot } from '../ravenpost.ts'
import { useRavenpost } from './context.ts'
import { useStore } from './inbox.ts'

/** Milliseconds; shorter interruptions are not shown. */
const TROUBLE_MS = 2000

/** `troubled` is true after two seconds without a live connection. */
export function useConnection(): ConnectionSnapshot & { troubled: boolean; retryNow(): void } {
  const { connection, retryNow } = useRavenpost()
  const snapshot = useStore(connection)
  const isFine = snapshot.status === 'live' || snapshot.status === 'stopped'
  const [troubled, setTroubled] = useState(false)
  useEffect(() => {
    if (isFine) return setTroubled(false)
    const timer = setTimeout(setTroubled, TROUBLE_MS, true)
    return () => clearTimeout(timer)
  }, [isFine])
  return { ...snapshot, troubled: troubled && !isFine, retryNow }
}
