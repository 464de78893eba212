import { type ReactNode, type RefObject, useEffect, useRef, useState } from 'react'
import type { Filter, InboxItem } from '../index.ts'
import { useRavenpost } from '../react/context.ts'
import { useInbox } from '../react/inbox.ts'
import { useUi } from './context.tsx'
import { Item } from './item.tsx'
import { onInboxKey } from './keys.ts'

export type ListProps = {
  filter?: Filter
  /** Renders an item instead of the default. Must return an `<li>`, which the keys reach if it has the id as `data-id`. */
  renderItem?(item: InboxItem): ReactNode
  /** Enables the keys j, k, e, u, # and Shift+A while the list has the focus. Default: true. */
  shortcuts?: boolean
  /** True if the list is on screen. Otherwise its items do not count as seen. */
  isOpen?: boolean
}

/** Milliseconds in view after which an item counts as seen. */
const SEEN_MS = 1000

/** A scrolling list of notifications. While the user scrolls or points at it, nothing moves: new items wait behind a button. */
export function List({ filter = {}, renderItem, shortcuts = true, isOpen = true }: ListProps): ReactNode {
  const client = useRavenpost()
  const { part, strings } = useUi()
  const { items, status, error, hasMore, isLoadingMore, loadMore, refresh } = useInbox(filter)
  const list = useRef<HTMLUListElement>(null)
  const [isHeld, setHeld] = useState(false)
  const { shown, waiting, release } = useQuiet(items, isHeld)
  useSeen(list, isOpen && shown.some(({ seen }) => !seen))

  const toTop = () => {
    release()
    list.current?.scrollTo({ top: 0 })
  }
  const onScroll = ({ currentTarget: { scrollTop, scrollHeight, clientHeight } }: { currentTarget: HTMLElement }) => {
    setHeld(scrollTop > 4)
    if (hasMore && scrollHeight - scrollTop - clientHeight < 400) void loadMore()
  }
  if (status !== 'ready') return <Nothing isFailed={status === 'error'} onRetry={refresh} />
  return (
    <div
      {...part('list')}
      data-scroll=""
      onScroll={onScroll}
      onPointerEnter={() => setHeld(true)}
      onPointerLeave={() => setHeld(false)}
    >
      {waiting > 0 && (
        <button {...part('new')} type="button" onClick={toTop}>
          {strings.newOnes(waiting)}
        </button>
      )}
      {shown.length === 0 && (
        <p {...part('empty')}>{filter.filter === 'unread' ? strings.emptyUnread : strings.empty}</p>
      )}
      <ul ref={list} onKeyDown={(event) => shortcuts && onInboxKey(event, client)}>
        {shown.map((item, index) =>
          renderItem ? (
            renderItem(item)
          ) : (
            <Item key={item.id} item={item} index={index} count={hasMore ? -1 : shown.length} />
          ),
        )}
      </ul>
      {error && <p {...part('error')}>{strings.failed}</p>}
      {hasMore && (
        <button {...part('more')} type="button" disabled={isLoadingMore} onClick={() => void loadMore()}>
          {isLoadingMore ? strings.loading : strings.loadMore}
        </button>
      )}
    </div>
  )
}

function Nothing({ isFailed, onRetry }: { isFailed: boolean; onRetry(): Promise<void> }): ReactNode {
  const { part, strings } = useUi()
  // Delays the loading text, so that it does not flash when the list is already stored.
  const [isSlow, setSlow] = useState(false)
  useEffect(() => {
    const timer = setTimeout(setSlow, 300, true)
    return () => clearTimeout(timer)
  }, [])
  if (!isFailed) return <p {...part('empty')}>{isSlow && strings.loading}</p>
  return (
    <div {...part('error')} role="alert">
      <p>{strings.failed}</p>
      <button {...part('button')} type="button" onClick={() => void onRetry()}>
        {strings.retry}
      </button>
    </div>
  )
}

/**
 * While the list is scrolled or has the pointer over it (`isHeld`), its order stays: contents change in place, removed items
 * disappear, and new items wait.
 */
function useQuiet(items: readonly InboxItem[], isHeld: boolean) {
  const order = useRef<readonly string[]>([])
  const [, render] = useState(0)
  if (!isHeld || order.current.length === 0) order.current = items.map(({ id }) => id)
  const byId = new Map(items.map((item) => [item.id, item]))
  const known = new Set(order.current)
  const last = items.findLastIndex(({ id }) => known.has(id))
  // The user loaded older items.
  const older = items.slice(last + 1)
  const shown = [...order.current.flatMap((id) => byId.get(id) ?? []), ...older]
  const waiting = items.length - shown.length
  const release = () => {
    order.current = items.map(({ id }) => id)
    render((count) => count + 1)
  }
  return { shown, waiting, release }
}

/** Marks the whole inbox as seen once the list has been in view for a second. */
function useSeen(list: RefObject<HTMLUListElement | null>, isNeeded: boolean): void {
  const client = useRavenpost()
  useEffect(() => {
    const element = list.current
    if (!isNeeded || !element) return
    let timer: ReturnType<typeof setTimeout> | undefined
    const observer = new IntersectionObserver(([entry]) => {
      clearTimeout(timer)
      if (entry?.isIntersecting) timer = setTimeout(() => void client.seen(), SEEN_MS)
    })
    observer.observe(element)
    return () => {
      clearTimeout(timer)
      observer.disconnect()
    }
  }, [client, list, isNeeded])
}
