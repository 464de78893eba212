import type { App } from '../../app.ts'
import { Pulse } from '../../base/pulse.ts'
import { unblocked } from '../../notify/rules/silences.ts'
import type { Session } from '../connections/session.ts'

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
  readonly #watchers = new Map<string, Set<Session>>()
  #doubtsBlocks = false
  #blocksReadAt = performance.now()

  constructor(app: App, betweenMs: number) {
    this.#app = app
    this.#reads = new Pulse(() => this.#read(), { betweenMs })
  }

  /** Replaces what a socket watches. The socket gets the current counts, and then each change. */
  watch(session: Session, posts: string[]): void {
    this.#forget(session)
    session.watched = new Map(posts.map((id) => [id, UNCHECKED]))
    for (const id of session.watched.keys()) {
      const watchers = this.#watchers.get(id) ?? new Set()
      this.#watchers.set(id, watchers.add(session))
    }
    this.changed(posts)
  }

  leave(session: Session): void {
    this.#forget(session)
    session.watched = new Map()
  }

  changed(postIds: Iterable<string>): void {
    for (const id of postIds) if (this.#watchers.has(id)) this.#changed.add(id)
    if (this.#changed.size > 0) this.#reads.request()
  }

  /** Hints may have been lost, and users may have blocked each other, so everything watched is read again. */
  doubtAll(): void {
    if (this.#watchers.size > 0) this.#doubtsBlocks = true
    else this.#blocksReadAt = performance.now()
    this.changed(this.#watchers.keys())
  }

  close(): Promise<void> {
    return this.#reads.close()
  }

  #forget(session: Session): void {
    for (const id of session.watched.keys()) {
      const watchers = this.#watchers.get(id)
      watchers?.delete(session)
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
      [...(this.#watchers.get(postId) ?? [])].flatMap((session) => {
        const userId = session.identity?.userId
        const isUnsure = userId && (session.watched.get(postId) === UNCHECKED || doubted.has(userId))
        return isUnsure ? [{ postId, session, userId }] : []
      }),
    )
    if (unsure.length === 0) return
    const hidden = await readHidden(this.#app, unsure)
    for (const { postId, session, userId } of unsure)
      if (hidden.has(`${postId} ${userId}`)) {
        if (session.watched.delete(postId)) this.#watchers.get(postId)?.delete(session)
      } else if (session.watched.get(postId) === UNCHECKED) session.watched.set(postId, UNSENT)
  }

  /** A socket whose buffer is full asks again after it has drained. */
  #send(counts: Counts[]): void {
    const news = new Map<Session, Counts[]>()
    for (const post of counts)
      for (const session of this.#watchers.get(post.id) ?? [])
        if (differs(session, post) && !session.full) news.set(session, [...(news.get(session) ?? []), post])
    for (const [session, posts] of news) sendCounts(session, posts)
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

/** Those of these pairs `post user` in which the author and the user have a block between them. */
async function readHidden({ pool }: App, pairs: { postId: string; userId: string }[]): Promise<Set<string>> {
  const { rows } = await pool.query<{ pair: string }>({
    name: 'hidden_posts',
    text: `select w.post_id || ' ' || w.user_id as pair from unnest($1::bigint[], $2::bigint[]) w (post_id, user_id)
           join social.posts p on p.id = w.post_id
           where not (${unblocked('w.user_id', 'p.author_id')})`,
    values: [pairs.map(({ postId }) => postId), pairs.map(({ userId }) => userId)],
  })
  return new Set(rows.map(({ pair }) => pair))
}

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

function differs(session: Session, post: Counts): boolean {
  const last = session.watched.get(post.id)
  return last !== undefined && last !== UNCHECKED && last !== versionOf(post)
}

function sendCounts(session: Session, posts: Counts[]): void {
  for (const post of posts) session.watched.set(post.id, versionOf(post))
  session.send({ type: 'counts', posts })
}
