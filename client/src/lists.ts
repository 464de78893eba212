import { extend, type Held, type HeldInbox, type Page } from './held-inbox.ts'
import type { InboxItem, Overlay } from './overlay.ts'
import { compare, contains, type Filter, newRange, type Range } from './ranges.ts'
import type { Request } from './rest.ts'
import { epochOf, numberOf } from './states.ts'
import { createStore, kept, type Settable, type Store } from './stores.ts'

export type InboxSnapshot = {
  /** Sorted by content time, newest first. An item stays the same object until it changes. */
  items: readonly InboxItem[]
  /** `loading` and `error` appear only while there is nothing to show. */
  status: 'loading' | 'ready' | 'error'
  /** The error of the last page request. */
  error: Error | undefined
  /** True if the server has older notifications. */
  hasMore: boolean
  isLoadingMore: boolean
}

export type InboxList = Store<InboxSnapshot> & {
  /** Fetches the next older page. Concurrent calls share one request. */
  loadMore(): Promise<void>
  /** Fetches the first page again: after an error, or for `filtered`, which is not live. */
  refresh(): Promise<void>
}

export type ListsOptions = {
  inbox: HeldInbox
  overlay: Overlay
  request: Request
  pageSize: number
  /** Resolves when the first page of the inbox is held. */
  ready(): Promise<void>
  /** Fetches the first page of the inbox and discards everything held. */
  startAnew(): Promise<void>
  changed(): void
}

/** One list in use: a range of the held inbox, or the filtered notifications, which no change contains. */
type Entry = {
  range: Range
  store: Settable<InboxSnapshot>
  list: InboxList
  loading: Promise<void> | undefined
  error: Error | undefined
  filtered: Map<string, Held> | undefined
}

const EMPTY: InboxSnapshot = { items: [], status: 'loading', error: undefined, hasMore: false, isLoadingMore: false }
const MAIN = 'all  '

export class Lists {
  readonly #options: ListsOptions
  readonly #entries = new Map<string, Entry>()

  constructor(options: ListsOptions) {
    this.#options = options
  }

  of(filter: Filter): InboxList {
    const types = filter.type === undefined ? '' : [filter.type].flat().sort().join()
    const key = [filter.filter ?? 'all', types, filter.priority ?? ''].join(' ')
    return (this.#entries.get(key) ?? this.#create(key, filter)).list
  }

  /** Updates each list from the held inbox. */
  show(): void {
    for (const entry of this.#entries.values()) this.#show(entry)
  }

  /** Fetches the lists in use that are not held, and those that are not live. */
  load(): void {
    for (const entry of this.#entries.values()) {
      if (!entry.store.isUsed()) continue
      if (entry.filtered) void this.#refresh(entry)
      else if (entry.range.bottom === 'none') void this.#loadMore(entry)
    }
  }

  #create(key: string, filter: Filter): Entry {
    const { inbox } = this.#options
    const isFiltered = filter.filter === 'filtered'
    const range = key === MAIN ? inbox.main : newRange(filter)
    if (!isFiltered) inbox.ranges.add(range)
    const store = createStore(EMPTY, () => range.bottom === 'none' && void this.#loadMore(entry))
    const entry: Entry = {
      range,
      store,
      list: {
        getSnapshot: store.getSnapshot,
        subscribe: store.subscribe,
        loadMore: () => this.#loadMore(entry),
        refresh: () => this.#refresh(entry),
      },
      loading: undefined,
      error: undefined,
      filtered: isFiltered ? new Map() : undefined,
    }
    this.#entries.set(key, entry)
    this.#show(entry)
    return entry
  }

  #show({ range, store, filtered, loading, error }: Entry): void {
    const { inbox, overlay } = this.#options
    const before = store.getSnapshot()
    const items: InboxItem[] = []
    for (const held of (filtered ?? inbox.held).values()) {
      const item = overlay.show(held)
      if (item && (filtered ? item.archivedAt === null : contains(range, item))) items.push(item)
    }
    items.sort(compare)
    const isHeld = range.bottom !== 'none'
    const next: InboxSnapshot = {
      items: kept(before.items, items),
      status: isHeld || filtered?.size ? 'ready' : error ? 'error' : 'loading',
      error,
      hasMore: isHeld && range.bottom !== 'all',
      isLoadingMore: isHeld && loading !== undefined,
    }
    store.set(kept(before, next))
  }

  #refresh(entry: Entry): Promise<void> {
    if (entry.range === this.#options.inbox.main) return this.#load(entry, this.#options.startAnew())
    Object.assign(entry.range, newRange(entry.range.filter))
    return this.#loadMore(entry)
  }

  #loadMore(entry: Entry): Promise<void> {
    if (entry.range.bottom === 'all') return Promise.resolve()
    return entry.loading ?? this.#load(entry, this.#fetch(entry))
  }

  #load(entry: Entry, work: Promise<void>): Promise<void> {
    entry.error = undefined
    entry.loading = work
      .catch((error: Error) => {
        entry.error = error
      })
      .then(() => {
        entry.loading = undefined
        this.#options.changed()
      })
    this.#show(entry)
    return entry.loading
  }

  async #fetch(entry: Entry): Promise<void> {
    const { range, filtered } = entry
    const { inbox, ready, startAnew, request, pageSize } = this.#options
    const isFirst = range.bottom === 'none'
    await ready()
    if (range === inbox.main && isFirst) return
    const { generation, state = '' } = inbox
    inbox.pageAsked()
    try {
      const page = await request<Page>('GET', `/notifications?${toQuery(range, pageSize)}`)
      if (filtered) {
        if (isFirst) filtered.clear()
        // Like the server, "read all" leaves them out, however large its state.
        for (const item of page.items) filtered.set(item.id, { item, asOf: 0, grown: Infinity })
        return extend(range, page)
      }
      // The list was fetched again in the meantime, so this page belongs to the former list.
      if (generation !== inbox.generation) return await this.#fetch(entry)
      // The page comes from another database or from an older state, so it cannot be joined to the held range.
      if (epochOf(page.state) !== epochOf(state) || numberOf(page.state) < numberOf(state)) return await startAnew()
      inbox.addPage(range, page)
    } finally {
      inbox.pageDone()
    }
  }
}

function toQuery({ filter: { filter, type, priority }, marks }: Range, limit: number): string {
  const query = new URLSearchParams({ limit: String(limit) })
  const cursor = marks.at(-1)?.cursor
  if (filter) query.set('filter', filter)
  for (const each of type === undefined ? [] : [type].flat()) query.append('type', each)
  if (priority) query.set('priority', priority)
  if (cursor) query.set('cursor', cursor)
  return query.toString()
}
