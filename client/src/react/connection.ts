import { useEffect, useState } from 'react'
import type { ConnectionSnapshot } from '../ravenpost.ts'
import { useRavenpost } from './context.ts'
import { useStore } from './inbox.ts'

/** Shorter breaks are nobody's business. */
const TROUBLE_MS = 2000

/** `troubled`: not live for two seconds, so that it is worth showing. */
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
