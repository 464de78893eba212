import type { App } from '../../app.ts'
import { Pulse } from '../../base/pulse.ts'
import type { Comment } from '../../protocol/comment.ts'
import type { ChangedComment, LiveContent } from '../../protocol/live-content.ts'
import type { Connection } from '../connections/connection.ts'
import { hasRead, isNewFor, OPEN_FOR_SECONDS, secondsBack, viewersOf, type Watch } from './watch.ts'

/** Maximum comments and removals per frame, and per waiting socket. Of the waiting ones, the latest are kept. */
const PER_FRAME = 50
const MOST_WAITING = 200

/** A watched post on this node. */
type Post = {
  watchers: Set<Connection>
  /** Time of the last read of its comments, by `performance.now()`. Undefined before the first read. */
  readAt: number | undefined
  /** Recently found comments: their version, and the time of the change. */
  seen: Map<string, { version: string; at: number }>
}

/** What a socket watches. `waiting`: changes to send, by comment; null removes one. */
export type CommentWatch = Watch & { postId: string; waiting: Map<string, Comment | null> }

type Change = ChangedComment & { at: number }

/**
 * New, edited and removed comments of watched posts. One statement reads the posts named by hints for all watchers, at most
 * once per `betweenMs`. After a change, a second reads the comments, and a third finds the watchers who must not see
 * them.
 */
export class LiveComments {
  readonly #app: App
  readonly #content: LiveContent
  readonly #reads: Pulse
  readonly #posts = new Map<string, Post>()
  #due = new Set<string>()
  /** Sockets with changes to send. */
  readonly #waiting = new Set<Connection>()

  constructor(app: App, content: LiveContent, betweenMs: number) {
    this.#app = app
    this.#content = content
    this.#reads = new Pulse(() => this.#read(), { betweenMs })
  }

  /** Replaces what a socket watches. The same post continues without a gap. */
  watch(connection: Connection, postId: string | undefined): void {
    if (connection.comments?.postId === postId) return
    this.leave(connection)
    if (postId === undefined) return
    const post = this.#posts.get(postId) ?? { watchers: new Set(), readAt: undefined, seen: new Map() }
    this.#posts.set(postId, post)
    post.watchers.add(connection)
    connection.comments = { postId, since: performance.now(), isReady: false, waiting: new Map() }
    this.changed([postId])
  }

  leave(connection: Connection): void {
    const { postId = '' } = connection.comments ?? {}
    const post = this.#posts.get(postId)
    post?.watchers.delete(connection)
    if (post?.watchers.size === 0) this.#posts.delete(postId)
    connection.comments = undefined
    this.#waiting.delete(connection)
  }

  changed(postIds: Iterable<string>): void {
    for (const id of postIds) if (this.#posts.has(id)) this.#due.add(id)
    if (this.#due.size > 0) this.#reads.request()
  }

  /** Reads all watched posts again, because hints may have been lost. */
  doubtAll(): void {
    this.changed(this.#posts.keys())
  }

  /** Sends the waiting changes of a socket whose buffer has drained. */
  drained(connection: Connection): void {
    if (this.#waiting.has(connection)) this.#reads.request()
  }

  close(): Promise<void> {
    return this.#reads.close()
  }

  async #read(): Promise<void> {
    const due = this.#due
    this.#due = new Set()
    try {
      await this.#readPosts([...due].filter((id) => this.#posts.has(id)))
    } catch (err) {
      for (const id of due) this.#due.add(id)
      this.#app.log.warn({ err }, 'cannot read comments; the sweep tries again')
    }
    this.#send()
  }

  async #readPosts(postIds: string[]): Promise<void> {
    if (postIds.length === 0) return
    const { pool } = this.#app
    const startedAt = performance.now()
    const found = await this.#content.changedComments(
      pool,
      postIds.map((postId) => ({ postId, seconds: secondsBack(this.#posts.get(postId)?.readAt, startedAt) })),
    )
    const now = performance.now()
    const news = found
      .filter((change) => this.#posts.get(change.postId)?.seen.get(change.id)?.version !== versionOf(change))
      .map((change) => ({ ...change, at: now - 1000 * change.age }))
    if (news.length > 0) await this.#hand(news)
    for (const change of news)
      this.#posts.get(change.postId)?.seen.set(change.id, { version: versionOf(change), at: change.at })
    for (const postId of postIds) this.#hasRead(postId, startedAt)
  }

  /** Queues changes for the sockets that may see them. */
  async #hand(news: Change[]): Promise<void> {
    const { pool } = this.#app
    const connections = news.flatMap(({ postId }) => [...(this.#posts.get(postId)?.watchers ?? [])])
    const authors = new Set(news.flatMap(({ authorId, postAuthorId }) => [authorId, postAuthorId]))
    const shown = news.filter(({ state }) => state !== 'gone').map(({ id }) => id)
    const [comments, blocked] = await Promise.all([
      shown.length > 0 ? this.#content.comments(pool, shown) : new Map<string, Comment>(),
      this.#content.blocked(pool, viewersOf(connections), [...authors]),
    ])
    for (const change of news)
      for (const connection of this.#posts.get(change.postId)?.watchers ?? []) {
        const hides = (authorId: string) => blocked.has(`${connection.identity?.userId} ${authorId}`)
        const watch = connection.comments
        if (!watch || !isNewFor(watch, change.at) || hides(change.authorId) || hides(change.postAuthorId)) continue
        this.#wait(connection, watch, change.id, comments.get(change.id) ?? null)
      }
  }

  #wait(connection: Connection, { waiting }: CommentWatch, id: string, comment: Comment | null): void {
    waiting.delete(id)
    waiting.set(id, comment)
    for (const oldest of waiting.keys()) if (waiting.size > MOST_WAITING) waiting.delete(oldest)
    this.#waiting.add(connection)
  }

  /** Marks the post as read: from now on, its watchers get everything that later reads find. */
  #hasRead(postId: string, startedAt: number): void {
    const post = this.#posts.get(postId)
    if (!post) return
    post.readAt = startedAt
    for (const [id, { at }] of post.seen) if (at < startedAt - 2000 * OPEN_FOR_SECONDS) post.seen.delete(id)
    for (const { comments } of post.watchers) hasRead(comments, startedAt)
  }

  /**
   * Sends one frame per socket, and serialises equal frames once. A socket whose buffer is full waits until it has
   * drained.
   */
  #send(): void {
    const texts = new Map<string, string>()
    for (const connection of this.#waiting) {
      const watch = connection.comments
      if (!watch || connection.full) continue
      const part = [...watch.waiting].slice(0, PER_FRAME)
      for (const [id] of part) watch.waiting.delete(id)
      if (watch.waiting.size === 0) this.#waiting.delete(connection)
      const key = part.map(([id, comment]) => (comment ? `${id} ${comment.updatedAt}` : `-${id}`)).join()
      const text = texts.get(key) ?? frameOf(watch.postId, part)
      texts.set(key, text)
      connection.sendText('comments', text)
    }
    if ([...this.#waiting].some((connection) => !connection.full)) this.#reads.request()
  }
}

function versionOf({ state, updatedAt }: ChangedComment): string {
  return `${state} ${updatedAt}`
}

function frameOf(postId: string, part: [string, Comment | null][]): string {
  const comments = part.flatMap(([, comment]) => comment ?? [])
  const removes = part.flatMap(([id, comment]) => (comment ? [] : [id]))
  return JSON.stringify({ type: 'comments', postId, comments, removes })
}
