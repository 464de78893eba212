import type { App } from '../../app.ts'
import { decodeChangedContent } from '../../base/wake-ups.ts'
import type { ClientFrame } from '../../protocol/frames.ts'
import type { LiveContent } from '../../protocol/live-content.ts'
import type { Connection } from '../connections/connection.ts'
import type { Limits } from '../limits.ts'
import { WatchedCounts } from './counts.ts'
import { LiveComments } from './live-comments.ts'
import { LiveFeeds } from './live-feeds.ts'

/** Everything that sockets watch in addition to their inbox. */
export class Watching {
  readonly #counts: WatchedCounts
  readonly #comments: LiveComments
  readonly #feeds: LiveFeeds

  constructor(app: App, content: LiveContent, { betweenCountsMs, betweenContentMs }: Limits) {
    this.#counts = new WatchedCounts(app, betweenCountsMs)
    this.#comments = new LiveComments(app, content, betweenContentMs)
    this.#feeds = new LiveFeeds(app, content, betweenContentMs)
  }

  watch(connection: Connection, { posts, comments, feed }: Extract<ClientFrame, { type: 'watch' }>): void {
    this.#counts.watch(connection, posts)
    this.#comments.watch(connection, comments)
    this.#feeds.watch(connection, feed)
  }

  leave(connection: Connection): void {
    this.#counts.leave(connection)
    this.#comments.leave(connection)
    this.#feeds.leave(connection)
  }

  /** Handles a hint. Any role of the database can send one, so it only triggers a read, within the limits. */
  heard(payload: string): void {
    const { counts, comments, feeds } = decodeChangedContent(payload)
    this.#counts.changed(counts)
    this.#comments.changed(comments)
    if (feeds) this.#feeds.changed()
  }

  doubtAll(): void {
    this.#counts.doubtAll()
    this.#comments.doubtAll()
    this.#feeds.changed()
  }

  drained(connection: Connection): void {
    this.#counts.changed(connection.watched.keys())
    this.#comments.drained(connection)
    this.#feeds.drained(connection)
  }

  async close(): Promise<void> {
    await Promise.all([this.#counts.close(), this.#comments.close(), this.#feeds.close()])
  }
}
