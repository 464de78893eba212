import type { Changes, Notification, Page } from '../../client/src/core.ts'
import { compare, type Filter, matches } from '../../client/src/ranges.ts'

export const numberOf = (state: string) => Number(state.slice(state.lastIndexOf('.') + 1))

export const NOTIFICATION: Notification = {
  id: '1',
  type: 'post.liked',
  priority: 'normal',
  severity: 'info',
  title: 'Ben liked your post',
  body: null,
  url: null,
  data: {},
  actors: [],
  actorCount: 1,
  object: null,
  groupKey: null,
  fallback: 'Ben liked your post',
  createdAt: '2026-01-01T00:00:00.000Z',
  updatedAt: '2026-01-01T00:00:00.000Z',
  deliveredAt: null,
  readAt: null,
  archivedAt: null,
  expiresAt: '2026-04-01T00:00:00.000Z',
  seen: false,
  silent: false,
}

export function changes(from: string, to: string, more = false): Changes {
  return { from, to, more, upserts: [], removes: [], ...(!more && { unreadCount: numberOf(to), unseenCount: 0 }) }
}

type Row = { item: Notification; modseq: number; grown: number }

/** The server's inbox, as docs/protocol.md describes it, in memory: the rules that the client's fold has to agree with. */
export class InboxModel {
  modseq = 0
  readonly #rows = new Map<string, Row>()
  readonly #tombstones = new Map<string, number>()
  #lastId = 0
  #time = Date.parse('2026-01-01T00:00:00.000Z')
  #seen = 0

  ids(): string[] {
    return [...this.#rows.keys()]
  }

  get(id: string): Notification | undefined {
    return this.#rows.get(id)?.item
  }

  /** Further apart than transactions may end out of order, because only then can a client recognise new notifications. */
  now(): string {
    this.#time += 60_000
    return new Date(this.#time).toISOString()
  }

  create(): void {
    const id = String(++this.#lastId)
    const type = this.#lastId % 2 ? 'post.liked' : 'user.followed'
    const updatedAt = this.now()
    this.modseq += 1
    this.#rows.set(id, { item: { ...NOTIFICATION, id, type, updatedAt }, modseq: this.modseq, grown: this.modseq })
  }

  markRead(ids: string[]): void {
    for (const id of ids) this.change('read', id)
  }

  change(what: string, id: string): void {
    const row = this.#rows.get(id)
    if (!row) return
    const { item } = row
    if (what === 'grow') {
      // A group that was read or archived is closed.
      if (item.readAt === null && item.archivedAt === null)
        this.#set(row, { actorCount: item.actorCount + 1, updatedAt: this.now(), seen: false }, true)
    } else if (what === 'read' && item.readAt === null) this.#set(row, { readAt: this.now() })
    else if (what === 'unread' && item.readAt !== null) this.#set(row, { readAt: null })
    else if (what === 'archive' && item.archivedAt === null) this.#set(row, { archivedAt: this.now() })
    else if (what === 'unarchive' && item.archivedAt !== null) this.#set(row, { archivedAt: null })
    else if (what === 'seen') this.upTo('seen', this.modseq)
    else if (what === 'remove' || what === 'delete') {
      this.modseq += 1
      this.#rows.delete(id)
      this.#tombstones.set(id, this.modseq)
    }
  }

  upTo(what: 'readAll' | 'seen', modseq: number): void {
    for (const row of this.#rows.values()) {
      if (row.grown > modseq) continue
      if (what === 'seen' && !row.item.seen) this.#set(row, { seen: true })
      if (what === 'readAll' && row.item.readAt === null && row.item.archivedAt === null)
        this.#set(row, { readAt: this.now() })
    }
    if (what === 'seen') this.#seen = Math.max(this.#seen, modseq)
  }

  list(filter: Filter): Notification[] {
    const items = [...this.#rows.values()].map(({ item }) => item)
    return items.filter((item) => matches(filter, item)).sort(compare)
  }

  page(filter: Filter, cursor: string | undefined, limit: number): Page {
    const listed = this.list(filter).filter(({ updatedAt, id }) => !cursor || `${updatedAt} ${id.padStart(9)}` < cursor)
    const items = listed.slice(0, limit)
    const last = items.at(-1)
    const nextCursor = last && listed.length > limit ? `${last.updatedAt} ${last.id.padStart(9)}` : null
    return { items, nextCursor, ...this.counts(), state: `e.${this.modseq}` }
  }

  counts(): { unreadCount: number; unseenCount: number } {
    const items = this.list({})
    const unread = items.filter(({ readAt }) => readAt === null)
    return { unreadCount: unread.length, unseenCount: unread.filter(({ seen }) => !seen).length }
  }

  changesSince(since: number, limit = 100): Changes {
    const upserts = [...this.#rows.values()].filter(({ modseq }) => modseq > since)
    const removes = [...this.#tombstones].filter(([, modseq]) => modseq > since)
    const all = [...upserts, ...removes.map(([id, modseq]) => ({ id, modseq }))].sort((a, b) => a.modseq - b.modseq)
    const sent = all.slice(0, limit)
    const more = sent.length < all.length
    return {
      from: `e.${since}`,
      to: `e.${more ? (sent.at(-1)?.modseq ?? since) : this.modseq}`,
      more,
      upserts: sent.flatMap((change) => ('item' in change ? [change.item] : [])),
      removes: sent.flatMap((change) => ('id' in change ? [change.id] : [])),
      ...(!more && this.counts()),
    }
  }

  #set(row: Row, part: Partial<Notification>, grew = false): void {
    this.modseq += 1
    row.item = { ...row.item, ...part }
    row.modseq = this.modseq
    if (grew) row.grown = this.modseq
  }
}
