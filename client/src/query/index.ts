import { matchQuery, type Query, type QueryClient, type QueryKey } from '@tanstack/react-query'
import type { LiveCounts, Notification, Ravenpost } from '../index.ts'

export type BoundKeys = {
  /** Key prefix of queries that contain notifications. Default: ['notifications']. */
  notifications?: QueryKey
  /** Key prefixes of queries that contain posts. Default: ['post'] and ['posts']. */
  posts?: readonly QueryKey[]
  /** True if a new notification belongs to a query. Default: true if the key is exactly `notifications`. */
  belongs?(key: QueryKey, notification: Notification): boolean
}

type Entity = { id: string }

/**
 * Updates cached queries in place: one object, an array, a page (`{ items }`) or infinite (`{ pages }`). Changes, moves and
 * removes notifications, and sets live counts of posts. Fetches only what was in flight during a change. Returns a function
 * that ends it.
 */
export function bindQueryClient(client: Ravenpost, queryClient: QueryClient, keys: BoundKeys = {}): () => void {
  const { notifications = ['notifications'], posts = [['posts'], ['post']] } = keys
  const { belongs = (key: QueryKey) => key.length === notifications.length } = keys
  const update = (change: (items: Entity[], isFirst: boolean, key: QueryKey) => Entity[]) => {
    for (const [key, data] of queryClient.getQueriesData({ queryKey: notifications })) {
      const next = changeItems(data, (items, isFirst) => change(items, isFirst, key))
      if (next !== data) queryClient.setQueryData(key, next)
    }
  }
  const cache = queryClient.getQueryCache()
  const outdated = new Set<Query>()
  /** Marks requests in flight, because a response to a request sent before a change may lack it. */
  const changed = () => {
    for (const query of cache.findAll({ queryKey: notifications, fetchStatus: 'fetching' })) outdated.add(query)
  }
  const setCounts = () => {
    const counts = client.liveCounts.getSnapshot()
    for (const key of posts)
      queryClient.setQueriesData({ queryKey: key }, (data: unknown) =>
        changeItems(data, (items) => replace(items, (item) => withCounts(item, counts.get(item.id)))),
      )
  }
  const ends = [
    client.on('changes', changed),
    client.on('reset', changed),
    cache.subscribe((event) => {
      if (event.type !== 'updated' || event.action.type !== 'success' || event.action.manual) return
      const { query } = event
      if (outdated.delete(query)) void queryClient.invalidateQueries({ queryKey: query.queryKey, exact: true })
      else if (posts.some((queryKey) => matchQuery({ queryKey }, query))) setCounts()
    }),
    client.on('notification', ({ notification, grew }) => {
      const { id } = notification
      update((items, isFirst, key) => {
        if (!grew) return replace(items, (item) => (item.id === id ? (client.get(id) ?? notification) : item))
        const others = items.filter((item) => item.id !== id)
        if (isFirst && belongs(key, notification)) return [client.get(id) ?? notification, ...others]
        return others.length === items.length ? items : replace(items, (item) => (item.id === id ? notification : item))
      })
    }),
    client.on('removed', ({ id }) =>
      update((items) => (items.some((item) => item.id === id) ? items.filter((item) => item.id !== id) : items)),
    ),
    client.on('reset', () => void queryClient.invalidateQueries({ queryKey: notifications })),
    // Shows the user's own actions in the queries at once.
    client.subscribe(() => update((items) => replace(items, (item) => client.get(item.id) ?? item))),
    client.liveCounts.subscribe(setCounts),
  ]
  return () => {
    for (const end of ends) end()
  }
}

/** Returns the same data if no item changes. */
function changeItems(data: unknown, change: (items: Entity[], isFirst: boolean) => Entity[]): unknown {
  if (Array.isArray(data)) return data.every(isEntity) ? change(data, true) : data
  if (typeof data !== 'object' || data === null) return data
  if ('pages' in data && Array.isArray(data.pages)) {
    const pages = data.pages.map((page, index) => changeItems(page, (items) => change(items, index === 0)))
    return pages.every((page, index) => page === (data.pages as unknown[])[index]) ? data : { ...data, pages }
  }
  if ('items' in data && Array.isArray(data.items)) {
    const items = changeItems(data.items, change)
    return items === data.items ? data : { ...data, items }
  }
  return isEntity(data) ? (change([data], false)[0] ?? data) : data
}

function isEntity(value: unknown): value is Entity {
  return typeof value === 'object' && value !== null && 'id' in value && typeof value.id === 'string'
}

function replace(items: Entity[], by: (item: Entity) => Entity): Entity[] {
  const next = items.map(by)
  return next.every((item, index) => item === items[index]) ? items : next
}

function withCounts(item: Entity & Partial<LiveCounts>, counts: LiveCounts | undefined): Entity {
  if (!counts || (item.likeCount === counts.likeCount && item.commentCount === counts.commentCount)) return item
  return { ...item, ...counts }
}
