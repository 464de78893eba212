import type { InboxItem } from 'ravenpost-client'
import { useEffect, useRef, useState } from 'react'

/**
 * Keeps a list still while the pointer is on it: items change in place and disappear, and new ones wait. `fresh`: how
 * many wait. `show` adds them at the top.
 */
export function useSteady(items: readonly InboxItem[], held: boolean) {
  const [order, setOrder] = useState<readonly string[] | undefined>(undefined)
  const latest = useRef(items)
  latest.current = items
  useEffect(() => setOrder(held ? latest.current.map(({ id }) => id) : undefined), [held])

  if (order === undefined) return { shown: items, fresh: 0, show: () => {} }
  const byId = new Map(items.map((item) => [item.id, item]))
  const known = new Set(order)
  const shown = order.flatMap((id) => byId.get(id) ?? [])
  // Items below were loaded by scrolling and move nothing.
  const lastKnown = items.findLastIndex(({ id }) => known.has(id))
  const below = items.slice(lastKnown + 1)
  const fresh = items.length - below.length - shown.length
  return { shown: [...shown, ...below], fresh, show: () => setOrder(latest.current.map(({ id }) => id)) }
}
