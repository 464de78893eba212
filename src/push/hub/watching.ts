import type { App } from '../../app.ts'
import { decodeChangedContent } from '../../base/channels.ts'
import type { ClientFrame } from '../../protocol/frames.ts'
import type { LiveContent } from '../../protocol/live-content.ts'
import type { Session } from '../connections/session.ts'
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

  watch(session: Session, { posts, comments, feed }: Extract<ClientFrame, { type: 'watch' }>): void {
    this.#counts.watch(session, posts)
    this.#comments.watch(session, comments)
    this.#feeds.watch(session, feed)
  }

  leave(session: Session): void {
    this.#counts.leave(session)
    this.#comments.leave(session)
    this.#feeds.leave(session)
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

  drained(session: Session): void {
    this.#counts.changed(session.watched.keys())
    this.#comments.drained(session)
    this.#feeds.drained(session)
  }

  async close(): Promise<void> {
    await Promise.all([this.#counts.close(), this.#comments.close(), this.#feeds.close()])
  }
}
