import type { App } from '../../app.ts'
import { Pulse } from '../../base/pulse.ts'
import type { Feed } from '../../protocol/frames.ts'
import type { LiveContent } from '../../protocol/live-content.ts'
import type { Connection } from '../connections/connection.ts'
import { hasRead, isNewFor, secondsBack, viewersOf, type Watch } from './watch.ts'

/** Counting stops at this number of posts. */
const MOST_NEWER = 100
/** Posts remembered to recognise deletions. */
const MOST_KNOWN = 2000

/** What a socket watches. `newer`: posts since the watch began. `sent`: the number last sent. */
export type FeedWatch = Watch & { feed: Feed; newer: Set<string>; sent: number }

/**
 * Counts the posts of a feed that are newer than the watch. New posts are read for all watchers together, at most once
 * per `betweenMs`.
 */
export class LiveFeeds {
  readonly #app: App
  readonly #content: LiveContent
  readonly #reads: Pulse
  readonly #watchers = new Set<Connection>()
  /** Posts found so far, oldest first. */
  readonly #known = new Set<string>()
  #readAt: number | undefined

  constructor(app: App, content: LiveContent, betweenMs: number) {
    this.#app = app
    this.#content = content
    this.#reads = new Pulse(() => this.#read(), { betweenMs })
  }

  /** Replaces what a socket watches. The count starts at zero. */
  watch(connection: Connection, feed: Feed | undefined): void {
    this.leave(connection)
    if (feed === undefined) return
    connection.feed = { feed, since: performance.now(), isReady: false, newer: new Set(), sent: 0 }
    this.#watchers.add(connection)
    this.#reads.request()
  }

  leave(connection: Connection): void {
    connection.feed = undefined
    this.#watchers.delete(connection)
    if (this.#watchers.size > 0) return
    this.#known.clear()
    this.#readAt = undefined
  }

  /** Reads new posts, because posts appeared or disappeared, or hints may have been lost. */
  changed(): void {
    if (this.#watchers.size > 0) this.#reads.request()
  }

  /** Sends the count to a socket whose buffer has drained. */
  drained({ feed }: Connection): void {
    if (feed && feed.newer.size !== feed.sent) this.#reads.request()
  }

  close(): Promise<void> {
    return this.#reads.close()
  }

  async #read(): Promise<void> {
    if (this.#watchers.size === 0) return
    try {
      await this.#count()
    } catch (err) {
      this.#app.log.warn({ err }, 'cannot read new posts; the sweep tries again')
    }
    for (const connection of this.#watchers) sendNewer(connection)
  }

  async #count(): Promise<void> {
    const { pool } = this.#app
    const startedAt = performance.now()
    const [found, deleted] = await Promise.all([
      this.#content.newPosts(pool, secondsBack(this.#readAt, startedAt)),
      this.#known.size > 0 ? this.#content.deletedPosts(pool, [...this.#known]) : [],
    ])
    const now = performance.now()
    const posts = found.filter(({ id }) => !this.#known.has(id)).map((post) => ({ ...post, at: now - 1000 * post.age }))
    const mayCount = await this.#visibility(posts.map(({ authorId }) => authorId))
    for (const { feed } of this.#watchers) if (feed) forget(feed, deleted)
    for (const connection of this.#watchers)
      for (const { id, authorId, at } of posts)
        if (connection.feed && isNewFor(connection.feed, at) && mayCount(connection, authorId))
          count(connection.feed, id)
    for (const { feed } of this.#watchers) hasRead(feed, startedAt)
    for (const id of deleted) this.#known.delete(id)
    for (const { id } of posts.reverse()) this.#known.add(id)
    for (const oldest of this.#known) if (this.#known.size > MOST_KNOWN) this.#known.delete(oldest)
    this.#readAt = startedAt
  }

  /** Returns a check of whether a watcher's feed shows posts of an author. */
  async #visibility(authorIds: string[]): Promise<(connection: Connection, authorId: string) => boolean> {
    const { pool } = this.#app
    const authors = [...new Set(authorIds)]
    const viewers = (wanted: Feed) => viewersOf([...this.#watchers].filter(({ feed }) => feed?.feed === wanted))
    const [all, following] = [viewers('all'), viewers('following')]
    const none = new Set<string>()
    const [blocked, followed] = await Promise.all([
      authors.length > 0 && all.length > 0 ? this.#content.blocked(pool, all, authors) : none,
      authors.length > 0 && following.length > 0 ? this.#content.followed(pool, following, authors) : none,
    ])
    return ({ identity, feed }, authorId) => {
      const pair = `${identity?.userId} ${authorId}`
      return feed?.feed === 'following' ? followed.has(pair) : !blocked.has(pair)
    }
  }
}

function count({ newer }: FeedWatch, postId: string): void {
  if (newer.size < MOST_NEWER) newer.add(postId)
}

/** A count at its maximum remains there, because the number beyond it is unknown. */
function forget({ newer }: FeedWatch, deleted: string[]): void {
  if (newer.size < MOST_NEWER) for (const id of deleted) newer.delete(id)
}

function sendNewer(connection: Connection): void {
  const { feed } = connection
  if (!feed || feed.newer.size === feed.sent || connection.full) return
  feed.sent = feed.newer.size
  connection.send({ type: 'feed', feed: feed.feed, newer: feed.sent })
}
