import type { ClientFrame } from './protocol.ts'
import { createStore, type Store } from './stores.ts'

/** What one part of a page subscribes to. `watch` merges the subscriptions of all parts and tabs. */
export type Watch = {
  /** Posts with live counts. Maximum: 200 in all tabs together. */
  posts?: readonly string[]
  /** Post whose new comments are sent. The latest subscription wins. */
  comments?: string
  /** Feed whose newer posts are counted. The latest subscription wins. */
  feed?: 'all' | 'following'
}

export type WatchFrame = Extract<ClientFrame, { type: 'watch' }>

/** What the server sends from now on. Changes before that may be missing from what a page has fetched. */
export type Watched = Pick<WatchFrame, 'comments' | 'feed'>

export type LiveCounts = { likeCount: number; commentCount: number }

const MAX_POSTS = 200

/** The subscriptions of the parts of a page and, through `others`, of the other tabs. */
export class Watching {
  readonly #own = new Set<Watch>()
  /** Returns the subscriptions of the other tabs. */
  others: () => Watch[] = () => []
  readonly #send: () => void
  readonly #counts = createStore<ReadonlyMap<string, LiveCounts>>(new Map())
  #isDue = false
  #isUsed = false

  constructor(send: () => void) {
    this.#send = send
  }

  /** The latest counts of each watched post. */
  get counts(): Store<ReadonlyMap<string, LiveCounts>> {
    return this.#counts
  }

  add(watch: Watch): () => void {
    const own = { ...watch }
    this.#own.add(own)
    this.changed()
    return () => {
      this.#own.delete(own)
      this.changed()
    }
  }

  /** Keeps only the counts of watched posts, because those of others get old. */
  take(posts: ({ id: string } & LiveCounts)[] = []): void {
    const wanted = this.wish().posts
    const counts = new Map(this.#counts.getSnapshot())
    for (const { id, ...rest } of posts) counts.set(id, rest)
    for (const id of counts.keys()) if (!wanted?.includes(id)) counts.delete(id)
    if (posts.length > 0 || counts.size < this.#counts.getSnapshot().size) this.#counts.set(counts)
  }

  /**
   * Merges the subscriptions of this tab. A socket watches the comments of one post and one feed only, so a hidden tab leaves these
   * to the visible ones.
   */
  wish(): Watch {
    const { posts, ...rest } = join([...this.#own])
    return globalThis.document?.visibilityState === 'hidden' ? { posts } : { posts, ...rest }
  }

  /** Merges the subscriptions of all tabs into a frame for the server. Undefined if there never was one. */
  frame(): WatchFrame | undefined {
    const { posts, ...rest } = join([...this.others(), this.wish()])
    this.#isUsed ||= posts.length > 0 || 'comments' in rest || 'feed' in rest
    return this.#isUsed ? { type: 'watch', posts: posts.slice(-MAX_POSTS), ...rest } : undefined
  }

  /** Waits a moment before sending, because a scrolling page changes its subscriptions with every row. */
  changed(): void {
    if (this.#isDue) return
    this.#isDue = true
    setTimeout(() => {
      this.#isDue = false
      this.take()
      this.#send()
    }, 20)
  }
}

function join(wishes: Watch[]): Watch & { posts: string[] } {
  const posts = [...new Set(wishes.flatMap((wish) => wish.posts ?? []))]
  const comments = wishes.findLast((wish) => wish.comments)?.comments
  const feed = wishes.findLast((wish) => wish.feed)?.feed
  return { posts, ...(comments && { comments }), ...(feed && { feed }) }
}
