import { type InfiniteData, type QueryKey, type UseInfiniteQueryResult, useInfiniteQuery } from '@tanstack/react-query'
import { type ReactNode, useEffect, useRef } from 'react'
import { Button } from '../../ui/button.tsx'
import { Alert, Loading } from '../../ui/notes.tsx'
import type { Page } from '../api.ts'
import { explain } from '../problem.ts'
import { useWords } from '../words/words.tsx'

export type Listed<T> = UseInfiniteQueryResult<InfiniteData<Page<T>>>

/** A list of the API, loaded page by page. */
export function useList<T>(
  queryKey: QueryKey,
  fetchPage: (cursor?: string | null) => Promise<Page<T>>,
  enabled = true,
) {
  return useInfiniteQuery({
    queryKey,
    queryFn: ({ pageParam }) => fetchPage(pageParam),
    initialPageParam: null as string | null,
    getNextPageParam: (page) => page.nextCursor,
    enabled,
  })
}

export const itemsOf = <T,>(list: Listed<T>): T[] => list.data?.pages.flatMap(({ items }) => items) ?? []

type ListProps<T> = { list: Listed<T>; empty: ReactNode; end?: ReactNode; children(item: T): ReactNode }

/** Shows the items of a list, then its state: loading, empty, failed, or more to load. */
export function List<T>({ list, empty, end, children }: ListProps<T>) {
  const words = useWords()
  const items = itemsOf(list)
  return (
    <>
      {items.map(children)}
      {list.isPending && <Loading label={words.app.loading} />}
      {list.isError && (
        <Alert>
          {explain(list.error, words)}
          <Button onClick={() => void (items.length > 0 ? list.fetchNextPage() : list.refetch())}>
            {words.app.retry}
          </Button>
        </Alert>
      )}
      {list.isSuccess && items.length === 0 && empty}
      {list.hasNextPage && !list.isError && (
        <More busy={list.isFetchingNextPage} more={() => void list.fetchNextPage()} />
      )}
      {list.isSuccess && items.length > 0 && !list.hasNextPage && end}
    </>
  )
}

/**
 * Loads the next page when the end of the list is near the visible part. The button is for users who reach it first.
 */
export function More({ busy, more }: { busy: boolean; more(): void }) {
  const { app } = useWords()
  const ref = useRef<HTMLDivElement>(null)
  const latest = useRef(more)
  latest.current = more
  useEffect(() => {
    if (busy) return
    // Observes again after each page: after a short page the end is still visible, so no event would follow.
    const observer = new IntersectionObserver(([entry]) => entry?.isIntersecting && latest.current(), {
      rootMargin: '600px',
    })
    if (ref.current) observer.observe(ref.current)
    return () => observer.disconnect()
  }, [busy])
  return (
    <div ref={ref} style={{ display: 'grid', justifyContent: 'center' }}>
      <Button busy={busy} disabled={busy} onClick={more}>
        {app.more}
      </Button>
    </div>
  )
}
