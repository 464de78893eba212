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
/** Milliseconds after which the subscription of a closed or frozen tab expires. */
const TAB_MS = 20_000

/** The subscriptions of this tab, and those that the other tabs sent recently. */
export class Watching {
  readonly #own = new Set<Watch>()
  readonly #tabs = new Map<string, { wish: Watch; at: number }>()
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
    this.#isUsed = true
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

  /** Merges the subscriptions of this tab. A hidden tab leaves comments and feed, of which there is one each, to the others. */
  wish(): Watch {
    const { posts = [], ...rest } = join([...this.#own])
    return globalThis.document?.visibilityState === 'hidden' ? { posts } : { posts, ...rest }
  }

  /** Tabs repeat their subscriptions. Only a new one is sent, because the server starts again with each frame. */
  tab(id: string, wish: Watch): void {
    const before = JSON.stringify(this.#tabs.get(id)?.wish)
    this.#tabs.set(id, { wish, at: Date.now() })
    this.#isUsed = true
    if (JSON.stringify(wish) !== before) this.changed()
  }

  /** Merges the subscriptions of all tabs into a frame for the server. Undefined if there never was one. */
  frame(): WatchFrame | undefined {
    if (!this.#isUsed) return undefined
    for (const [id, { at }] of this.#tabs) if (Date.now() - at > TAB_MS) this.#tabs.delete(id)
    const { posts = [], ...rest } = join([...[...this.#tabs.values()].map(({ wish }) => wish), this.wish()])
    return { type: 'watch', posts: posts.slice(-MAX_POSTS), ...rest }
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

function join(wishes: Watch[]): Watch {
  const posts = [...new Set(wishes.flatMap((wish) => wish.posts ?? []))]
  const comments = wishes.findLast((wish) => wish.comments)?.comments
  const feed = wishes.findLast((wish) => wish.feed)?.feed
  return { posts, ...(comments && { comments }), ...(feed && { feed }) }
}
