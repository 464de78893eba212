import type { ConnectionSnapshot, Events, InboxList, InboxSnapshot, Ravenpost, Store } from 'ravenpost-client'
import { preferences, why } from './fixtures.ts'

const nothing = async () => {}
const fixed = <T>(value: T): Store<T> => ({ getSnapshot: () => value, subscribe: () => () => {} })

export type FixedState = Partial<Pick<InboxSnapshot, 'items' | 'status' | 'error'>> & {
  unread?: number
  pending?: number
  connection?: Partial<ConnectionSnapshot>
}

/** A client that stays as it is: connected to nothing, for pages that show one state. */
export function fixedClient({ items = [], status = 'ready', error, unread = 0, pending = 0, connection }: FixedState) {
  const list: InboxList = {
    ...fixed({ items, status, error, hasMore: false, isLoadingMore: false }),
    loadMore: nothing,
    refresh: nothing,
  }
  const empty: InboxList = { ...list, ...fixed({ ...list.getSnapshot(), items: [] }) }
  const client: Ravenpost = {
    options: { url: '', getToken: () => '' },
    start() {},
    stop() {},
    signOut: nothing,
    inbox: list,
    list: ({ filter, type }) => (filter === undefined && type === undefined ? list : empty),
    counts: fixed({ unreadCount: unread, unseenCount: unread, pendingCount: pending, isStored: true, state: '1.1' }),
    connection: fixed({
      status: 'live',
      liveUntil: undefined,
      retryAt: undefined,
      closeCode: undefined,
      missing: undefined,
      isLeader: true,
      ...connection,
    }),
    subscribe: () => () => {},
    get: (id) => items.find((item) => item.id === id),
    fetchNotification: () => Promise.reject(new Error('nothing is fetched here')),
    read: nothing,
    unread: nothing,
    archive: nothing,
    unarchive: nothing,
    delete: nothing,
    readAll: nothing,
    seen: nothing,
    why: async () => why,
    watch: () => () => {},
    liveCounts: fixed(new Map()),
    /** Everything held comes as if it had just arrived: the toasts. */
    on(event, listener) {
      if (event !== 'notification') return () => {}
      const timer = setTimeout(() => {
        for (const notification of items)
          listener({ notification, previous: undefined, grew: true, live: true } as Events[typeof event])
      })
      return () => clearTimeout(timer)
    },
    retryNow() {},
    async request<T>(_method: string, path: string) {
      if (path === '/notifications/preferences') return preferences as T
      throw new Error('nothing is fetched here')
    },
    token: async () => '',
  }
  return client
}
