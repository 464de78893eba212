import type { App } from '../app.ts'
import type { Session } from './session.ts'

type Counts = { id: string; likeCount: number; commentCount: number }

/**
 * Live counts of watched posts: one query for all posts that changed, at most once per `betweenMs`, and a frame only to
 * sockets that watch one whose counts differ from those last sent there.
 */
export class WatchedCounts {
  readonly #app: App
  readonly #betweenMs: number
  #changed = new Set<string>()
  readonly #watchers = new Map<string, Set<Session>>()
  #timer: NodeJS.Timeout | undefined
  #lastRead = Number.NEGATIVE_INFINITY
  #reading: Promise<void> = Promise.resolve()
  #closed = false

  constructor(app: App, betweenMs: number) {
    this.#app = app
    this.#betweenMs = betweenMs
  }

  /** Replaces what a socket watches; it is sent the counts as they are now, then whenever they change. */
  watch(session: Session, posts: string[]): void {
    this.#forget(session)
    session.watched = new Map(posts.map((id) => [id, '']))
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
    this.#schedule()
  }

  /** Hints may have been lost: looks at everything that is watched. */
  doubtAll(): void {
    this.changed(this.#watchers.keys())
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#timer)
    await this.#reading
  }

  #forget(session: Session): void {
    for (const id of session.watched.keys()) {
      const watchers = this.#watchers.get(id)
      watchers?.delete(session)
      if (watchers?.size === 0) this.#watchers.delete(id)
    }
  }

  #schedule(): void {
    if (this.#closed || this.#timer || this.#changed.size === 0) return
    const wait = Math.max(0, this.#lastRead + this.#betweenMs - performance.now())
    this.#timer = setTimeout(() => {
      this.#reading = this.#read()
    }, wait)
  }

  async #read(): Promise<void> {
    const ids = [...this.#changed]
    this.#changed = new Set()
    try {
      this.#send(await readCounts(this.#app, ids))
    } catch (err) {
      this.#app.log.warn({ err }, 'cannot read counts; the sweep tries again')
    }
    this.#lastRead = performance.now()
    this.#timer = undefined
    this.#schedule()
  }

  /** A socket that cannot be written to now is asked for again when it has drained. */
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

const versionOf = ({ likeCount, commentCount }: Counts) => `${likeCount},${commentCount}`

function differs(session: Session, post: Counts): boolean {
  const last = session.watched.get(post.id)
  return last !== undefined && last !== versionOf(post)
}

function sendCounts(session: Session, posts: Counts[]): void {
  for (const post of posts) session.watched.set(post.id, versionOf(post))
  session.send({ type: 'counts', posts })
}
