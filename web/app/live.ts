import type { Events } from 'ravenpost-client'
import { useRavenpost } from 'ravenpost-client/react'
import { useEffect, useRef } from 'react'

/** Calls back when an event of the client occurs. */
export function useOn<E extends keyof Events>(event: E, callback: (value: Events[E]) => void): void {
  const { on } = useRavenpost()
  const latest = useRef(callback)
  latest.current = callback
  useEffect(() => on(event, (value) => latest.current(value)), [on, event])
}
