import type { App } from '../../app.ts'
import { Pulse } from '../../base/pulse.ts'
import { columns } from '../../db/columns.ts'
import { unblocked } from '../../notify/rules/silences.ts'
import type { Connection } from '../connections/connection.ts'

type Counts = { id: string; likeCount: number; commentCount: number }

/** Marks a post whose visibility has not been checked yet, in place of the counts last sent. */
const UNCHECKED = ''
const UNSENT = 'none'

/**
 * Live counts of watched posts. One query covers all posts that changed, at most once per `betweenMs`. A socket gets a
 * frame only when the counts of a post it watches differ from those it was last sent.
 */
export class WatchedCounts {
  readonly #app: App
  readonly #reads: Pulse
  #changed = new Set<string>()
  readonly #watchers = new Map<string, Set<Connection>>()
  #doubtsBlocks = false
  #blocksReadAt = performance.now()

  constructor(app: App, betweenMs: number) {
    this.#app = app
    this.#reads = new Pulse(() => this.#read(), { betweenMs })
  }

  /** Replaces what a socket watches. The socket gets the current counts, and then each change. */
  watch(connection: Connection, posts: string[]): void {
    this.#forget(connection)
    connection.watched = new Map(posts.map((id) => [id, UNCHECKED]))
    for (const id of connection.watched.keys()) {
      const watchers = this.#watchers.get(id) ?? new Set()
      this.#watchers.set(id, watchers.add(connection))
    }
    this.changed(posts)
  }

  leave(connection: Connection): void {
    this.#forget(connection)
    connection.watched = new Map()
  }

  changed(postIds: Iterable<string>): void {
    for (const id of postIds) if (this.#watchers.has(id)) this.#changed.add(id)
    if (this.#changed.size > 0) this.#reads.request()
  }

  /** Reads everything watched again, because hints may have been lost and users may have blocked each other. */
  doubtAll(): void {
    if (this.#watchers.size > 0) this.#doubtsBlocks = true
    else this.#blocksReadAt = performance.now()
    this.changed(this.#watchers.keys())
  }

  close(): Promise<void> {
    return this.#reads.close()
  }

  #forget(connection: Connection): void {
    for (const id of connection.watched.keys()) {
      const watchers = this.#watchers.get(id)
      watchers?.delete(connection)
      if (watchers?.size === 0) this.#watchers.delete(id)
    }
  }

  async #read(): Promise<void> {
    const ids = [...this.#changed]
    this.#changed = new Set()
    try {
      const counts = await readCounts(this.#app, ids)
      await this.#forgetHidden(counts, await this.#readDoubted())
      this.#send(counts)
    } catch (err) {
      this.#app.log.warn({ err }, 'cannot read counts; the sweep tries again')
    }
  }

  /** Users who blocked someone or were blocked since the last read. */
  async #readDoubted(): Promise<Set<string>> {
    if (!this.#doubtsBlocks) return new Set()
    const now = performance.now()
    const doubted = await readBlockedWithin(this.#app, (now - this.#blocksReadAt) / 1000)
    this.#doubtsBlocks = false
    this.#blocksReadAt = now
    return doubted
  }

  /**
   * Stops watching posts whose author a block hides from the watcher. Checks once per socket and post before the first
   * counts, and again after a block that concerns the watcher.
   */
  async #forgetHidden(counts: Counts[], doubted: Set<string>): Promise<void> {
    const unsure = counts.flatMap(({ id: postId }) =>
      [...(this.#watchers.get(postId) ?? [])].flatMap((connection) => {
        const userId = connection.identity?.userId
        const isUnsure = userId && (connection.watched.get(postId) === UNCHECKED || doubted.has(userId))
        return isUnsure ? [{ postId, connection, userId }] : []
      }),
    )
    if (unsure.length === 0) return
    const hidden = await readHidden(this.#app, unsure)
    for (const { postId, connection, userId } of unsure)
      if (hidden.has(`${postId} ${userId}`)) {
        if (connection.watched.delete(postId)) this.#watchers.get(postId)?.delete(connection)
      } else if (connection.watched.get(postId) === UNCHECKED) connection.watched.set(postId, UNSENT)
  }

  /** A socket whose buffer is full asks again after it has drained. */
  #send(counts: Counts[]): void {
    const news = new Map<Connection, Counts[]>()
    for (const post of counts)
      for (const connection of this.#watchers.get(post.id) ?? [])
        if (differs(connection, post) && !connection.full) news.set(connection, [...(news.get(connection) ?? []), post])
    for (const [connection, posts] of news) sendCounts(connection, posts)
  }
}

async function readCounts({ pool }: App, ids: string[]): Promise<Counts[]> {
  const { rows } = await pool.query<Counts>({
    name: 'watched_counts',
    text: `select id, like_count::float8 as "likeCount", comment_count::float8 as "commentCount"
           from social.posts where id = any($1::bigint[]) and deleted_at is null`,
    values: [ids],
  })
  return rows
}

/** Returns those pairs `post user` in which one of author and user blocks the other. */
async function readHidden({ pool }: App, pairs: Pair[]): Promise<Set<string>> {
  const { rows } = await pool.query<{ pair: string }>({
    name: 'hidden_posts',
    text: `select w.post_id || ' ' || w.user_id as pair from ${watched.from}
           join social.posts p on p.id = w.post_id
           where not (${unblocked('w.user_id', 'p.author_id')})`,
    values: watched.values(pairs),
  })
  return new Set(rows.map(({ pair }) => pair))
}

type Pair = { postId: string; userId: string }

const watched = columns<Pair>({
  post_id: ['bigint', ({ postId }) => postId],
  user_id: ['bigint', ({ userId }) => userId],
})

/** A transaction open at the last read may have begun this long before it. */
const OPEN_FOR_SECONDS = 10

async function readBlockedWithin({ pool }: App, seconds: number): Promise<Set<string>> {
  const { rows } = await pool.query<{ pair: [string, string] }>({
    name: 'blocked_lately',
    text: `select array[user_id, other_id]::text[] as pair from social.blocks
           where created_at > now() - make_interval(secs => $1::float8)`,
    values: [seconds + OPEN_FOR_SECONDS],
  })
  return new Set(rows.flatMap(({ pair }) => pair))
}

const versionOf = ({ likeCount, commentCount }: Counts) => `${likeCount},${commentCount}`

function differs(connection: Connection, post: Counts): boolean {
  const last = connection.watched.get(post.id)
  return last !== undefined && last !== UNCHECKED && last !== versionOf(post)
}

function sendCounts(connection: Connection, posts: Counts[]): void {
  for (const post of posts) connection.watched.set(post.id, versionOf(post))
  connection.send({ type: 'counts', posts })
}
