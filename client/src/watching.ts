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

export type LiveCounts = { likeCount: number; commentCount: number }

const MAX_POSTS = 200
/** Milliseconds after which the subscription of a closed or frozen tab expires. */
const TAB_MS = 20_000

/** The subscriptions of this tab, and those that the other tabs sent recently. */
export class Watching {
  readonly #own = new Set<Watch>()
  readonly #tabs = new Map<string, { wish: Watch; at: number }>()
  readonly #changed: () => void
  readonly #counts = createStore<ReadonlyMap<string, LiveCounts>>(new Map())
  #isDue = false

  constructor(changed: () => void) {
    this.#changed = changed
  }

  /** The latest counts of each watched post. */
  get counts(): Store<ReadonlyMap<string, LiveCounts>> {
    return this.#counts
  }

  add(watch: Watch): () => void {
    const own = { ...watch }
    this.#own.add(own)
    this.#soon()
    return () => {
      this.#own.delete(own)
      this.#soon()
    }
  }

  take(posts: ({ id: string } & LiveCounts)[]): void {
    const wanted = new Set(this.wish().posts)
    const counts = new Map(this.#counts.getSnapshot())
    for (const id of counts.keys()) if (!wanted.has(id)) counts.delete(id)
    for (const { id, likeCount, commentCount } of posts) if (wanted.has(id)) counts.set(id, { likeCount, commentCount })
    this.#counts.set(counts)
  }

  /** Merges the subscriptions of this tab. */
  wish(): Watch {
    return join([...this.#own])
  }

  tab(id: string, wish: Watch): void {
    this.#tabs.set(id, { wish, at: Date.now() })
    this.#soon()
  }

  isUsed(): boolean {
    return this.#own.size + this.#tabs.size > 0
  }

  /** Merges the subscriptions of all tabs into a frame for the server. */
  frame(): ClientFrame {
    for (const [id, { at }] of this.#tabs) if (Date.now() - at > TAB_MS) this.#tabs.delete(id)
    const { posts = [], ...rest } = join([...[...this.#tabs.values()].map(({ wish }) => wish), this.wish()])
    return { type: 'watch', posts: posts.slice(-MAX_POSTS), ...rest }
  }

  /** Waits a moment before sending, because a scrolling page changes its subscriptions with every row. */
  #soon(): void {
    if (this.#isDue) return
    this.#isDue = true
    setTimeout(() => {
      this.#isDue = false
      this.#changed()
    }, 20)
  }
}

function join(wishes: Watch[]): Watch {
  const posts = [...new Set(wishes.flatMap((wish) => wish.posts ?? []))]
  const comments = wishes.findLast((wish) => wish.comments)?.comments
  const feed = wishes.findLast((wish) => wish.feed)?.feed
  return { posts, ...(comments && { comments }), ...(feed && { feed }) }
}
