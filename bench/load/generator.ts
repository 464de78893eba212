import { signAccessToken } from '../../src/social/sessions/tokens.ts'
import { authorOf, JWT_SECRET, likerOf, usersOf, type World } from '../world.ts'
import { type Client, ravenpostClient, socketIoClient } from './clients.ts'
import { requestText } from './http.ts'
import { Latencies, type Latency } from './latency.ts'
import { closedLoop, openLoop } from './pace.ts'

export type Protocol = 'ravenpost' | 'socket.io'
export type Likes = { url: string; firstPost: number; seconds: number; rate?: number; connections?: number }
export type LikesResult = {
  answered: number
  failed: number
  perSecond: number
  nextPost: number
  /** Milliseconds from the time a request was due to its answer. */
  latency: Latency
}
export type Arrivals = {
  arrived: number
  doubled: number
  /** Milliseconds from the call of `expect` until the last one arrived. */
  elapsedMs: number
  /** Milliseconds from the answer of the action to the frame; 0 if the frame came first. */
  fromAnswer: Latency
  /** Milliseconds from the time the action was due to the frame. */
  fromSend: Latency
}
export type Gets = { url: string; path: string; users: [first: number, last: number]; rate: number; seconds: number }

/** Sends likes and receives their frames in one process, so that one clock measures both. */
export class Generator {
  readonly #world: World
  readonly #protocol: Protocol
  readonly #tokens: string[] = ['']
  readonly #clients = new Map<number, Client>()
  readonly #positions = new Map<number, string>()
  readonly #dueAt: Float64Array
  readonly #answeredAt: Float64Array
  readonly #arrivals: Uint16Array
  #arrived = 0
  #doubled = 0
  #lastArrivalAt = 0
  #fromAnswer = new Latencies()
  #fromSend = new Latencies()
  #onArrival = () => {}

  constructor(world: World, protocol: Protocol) {
    this.#world = world
    this.#protocol = protocol
    this.#dueAt = new Float64Array(world.posts + 1)
    this.#answeredAt = new Float64Array(world.posts + 1)
    this.#arrivals = new Uint16Array(world.posts + 1)
    const config = { jwtSecret: JWT_SECRET, accessTokenTtl: 86_400 }
    for (let id = 1; id <= usersOf(world); id++)
      this.#tokens.push(signAccessToken(config, { userId: String(id), sessionId: String(id), role: 'user' }))
  }

  /** Opens the sockets of users `from` to `to`. Resolves with the time when all are synced. */
  async connect({ url, from, to }: { url: string; from: number; to: number }): Promise<{ ms: number; closed: number }> {
    const startedAt = performance.now()
    let closed = 0
    const ids = Array.from({ length: to - from + 1 }, (_, index) => from + index)
    // Enough in parallel to keep a server busy, and few enough for its queue of connections.
    const workers = Array.from({ length: 200 }, async () => {
      for (let id = ids.pop(); id !== undefined; id = ids.pop()) await this.#openTwice(url, id).catch(() => closed++)
    })
    await Promise.all(workers)
    return { ms: performance.now() - startedAt, closed }
  }

  /** Closes every socket. `cut`: as a broken network would. */
  async disconnect({ cut = false }: { cut?: boolean } = {}): Promise<void> {
    for (const client of this.#clients.values()) cut ? client.cut() : client.close()
    this.#clients.clear()
  }

  /** Likes each post from `firstPost` on once, at a fixed rate or as fast as `connections` allow. */
  async like({ url, firstPost, seconds, rate, connections = 128 }: Likes): Promise<LikesResult> {
    let [post, answered, failed] = [firstPost, 0, 0]
    const latencies = new Latencies()
    const startedAt = performance.now()
    const next = (dueAt: number) => {
      if (post > this.#world.posts) return undefined
      const id = post++
      this.#dueAt[id] = dueAt
      const onAnswer = (status: number) => {
        const now = performance.now()
        latencies.record(now - dueAt)
        if (status !== 200) {
          failed += 1
          return
        }
        answered += 1
        this.#answeredAt[id] = now
        if (this.#arrivals[id]) this.#fromAnswer.record(0)
      }
      return { text: requestText('POST', `/posts/${id}/like`, this.#tokens[likerOf(this.#world, id)] ?? ''), onAnswer }
    }
    if (rate) await openLoop(url, rate, seconds, next)
    else await closedLoop(url, connections, seconds, next)
    const perSecond = answered / ((performance.now() - startedAt) / 1000)
    return { answered, failed, perSecond, nextPost: post, latency: latencies.summary() }
  }

  /** All likers like the same post once, at this rate. */
  async storm({
    url,
    post,
    rate,
    seconds,
  }: {
    url: string
    post: number
    rate: number
    seconds: number
  }): Promise<LikesResult> {
    let [liker, answered, failed] = [this.#world.recipients + 1, 0, 0]
    const latencies = new Latencies()
    const startedAt = performance.now()
    await openLoop(url, rate, seconds, (dueAt) => ({
      text: requestText('POST', `/posts/${post}/like`, this.#tokens[liker++] ?? ''),
      onAnswer: (status) => {
        latencies.record(performance.now() - dueAt)
        if (status === 200) answered += 1
        else failed += 1
      },
    }))
    const perSecond = answered / ((performance.now() - startedAt) / 1000)
    return { answered, failed, perSecond, nextPost: post, latency: latencies.summary() }
  }

  /** Requests the same page for one user after the other, at a fixed rate. */
  async get({ url, path, users: [first, last], rate, seconds }: Gets): Promise<{ latency: Latency; failed: number }> {
    const latencies = new Latencies()
    let [user, failed] = [first, 0]
    const next = (dueAt: number) => {
      const text = requestText('GET', path, this.#tokens[user] ?? '')
      user = user === last ? first : user + 1
      const onAnswer = (status: number) => {
        latencies.record(performance.now() - dueAt)
        if (status !== 200) failed += 1
      }
      return { text, onAnswer }
    }
    await openLoop(url, rate, seconds, next)
    return { latency: latencies.summary(), failed }
  }

  /** Waits until this many notifications have arrived since the last `reset`, or until the timeout. */
  async expect({ count, withinMs }: { count: number; withinMs: number }): Promise<Arrivals> {
    const startedAt = performance.now()
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, withinMs)
      this.#onArrival = () => {
        if (this.#arrived < count) return
        clearTimeout(timer)
        resolve()
      }
      this.#onArrival()
    })
    this.#onArrival = () => {}
    return {
      arrived: this.#arrived,
      doubled: this.#doubled,
      elapsedMs: Math.max(0, this.#lastArrivalAt - startedAt),
      fromAnswer: this.#fromAnswer.summary(),
      fromSend: this.#fromSend.summary(),
    }
  }

  /** Forgets all received notifications. Posts liked before must not be used again. */
  async reset(): Promise<void> {
    this.#arrived = 0
    this.#doubled = 0
    this.#fromAnswer = new Latencies()
    this.#fromSend = new Latencies()
  }

  /** Tries once more, as every client does, because a busy generator may send its hello too late. */
  #openTwice(url: string, id: number): Promise<void> {
    return this.#open(url, id).catch(() => this.#open(url, id))
  }

  #open(url: string, id: number): Promise<void> {
    const open = this.#protocol === 'ravenpost' ? ravenpostClient : socketIoClient
    const since = this.#positions.get(id)
    const remember = (position: string) => void this.#positions.set(id, position)
    return new Promise((resolve, reject) => {
      const options = { url, token: this.#tokens[id] ?? '', remember, ...(since !== undefined && { since }) }
      const client = open(options, {
        notified: (post) => this.#notified(id, post),
        synced: resolve,
        closed: () => reject(new Error('closed')),
      })
      this.#clients.set(id, client)
    })
  }

  #notified(user: number, post: number): void {
    const now = performance.now()
    if (authorOf(this.#world, post) !== user)
      throw new Error(`user ${user} was notified of post ${post}, which belongs to another user`)
    const before = this.#arrivals[post] ?? 0
    this.#arrivals[post] = before + 1
    if (before > 0) {
      this.#doubled += 1
      return
    }
    this.#arrived += 1
    this.#lastArrivalAt = now
    const [dueAt, answeredAt] = [this.#dueAt[post] ?? 0, this.#answeredAt[post] ?? 0]
    if (answeredAt) this.#fromAnswer.record(now - answeredAt)
    if (dueAt) this.#fromSend.record(now - dueAt)
    this.#onArrival()
  }
}
