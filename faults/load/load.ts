import { type Answer, type CallOptions, call } from './http.ts'
import type { Random } from './random.ts'
import type { Member, World } from './world.ts'

/**
 * `exists` and `gone`: certain, because the action was answered. `kept`: exists too, but an earlier attempt was not
 * answered and may still be in progress, so it is never taken back. `uncertain`: no attempt was answered.
 */
type State = 'busy' | 'uncertain' | 'exists' | 'kept' | 'gone'

type Kind = 'like' | 'unlike' | 'follow' | 'unfollow' | 'comment' | 'reply' | 'read' | 'list'

/** Number of each kind among a hundred actions. */
const mix: [Kind, number][] = [
  ['like', 56],
  ['unlike', 9],
  ['follow', 9],
  ['unfollow', 3],
  ['comment', 9],
  ['reply', 5],
  ['read', 3],
  ['list', 6],
]
const kinds = mix.flatMap(([kind, share]) => Array<Kind>(share).fill(kind))

/** How long a client retries without an answer. Every call here may be repeated safely. */
const PATIENCE_MS = 20_000
const FIRST_WAIT_MS = 100
const LAST_WAIT_MS = 4000
const TICK_MS = 10

export type LoadOptions = { world: World; ports: number[]; random: Random; rate: number }

/**
 * Users act at a fixed rate, however slow the answers are (an open loop), and every answer is recorded. Each pair of user and
 * post is liked at most once and unliked at most once. So the domain tables alone determine what inboxes must show.
 */
export class Load {
  offered = 0
  completed = 0
  /** 4xx answers, which no fault can explain. */
  wrong: string[] = []
  readonly latencies: number[] = []
  readonly likes = new Map<string, State>()
  readonly follows = new Map<string, State>()
  /** Confirmed comments, and their posts. */
  readonly comments: { id: string; postId: string }[] = []
  readonly #options: LoadOptions
  readonly #running = new Set<Promise<void>>()
  readonly #startedAt = performance.now()
  readonly #timer: NodeJS.Timeout
  #lastKey = 0

  constructor(options: LoadOptions) {
    this.#options = options
    this.#timer = setInterval(() => this.#offerDue(), TICK_MS)
  }

  /** Resolves when the last action was answered or timed out. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await Promise.all(this.#running)
  }

  #offerDue(): void {
    const due = ((performance.now() - this.#startedAt) / 1000) * this.#options.rate
    for (; this.offered < due; this.offered += 1) {
      const running = this.#act(this.#options.random.pick(kinds)).finally(() => this.#running.delete(running))
      this.#running.add(running)
    }
  }

  #act(kind: Kind): Promise<void> {
    const { world, random } = this.#options
    const member = random.pick(world.members)
    const post = random.pick(world.posts)
    const other = random.pick(world.members)
    switch (kind) {
      case 'like':
        return this.#set(this.likes, `${post}:${member.id}`, 'POST', `/posts/${post}/like`, member)
      case 'unlike':
        return this.#unset(this.likes, 'DELETE', (post) => `/posts/${post}/like`)
      case 'follow':
        if (other === member) return this.#list(member)
        return this.#set(this.follows, `${other.id}:${member.id}`, 'POST', `/users/${other.id}/follow`, member)
      case 'unfollow':
        return this.#unset(this.follows, 'POST', (user) => `/users/${user}/unfollow`)
      case 'comment':
        return this.#comment(member, post, null, random.below(4) === 0 ? `What does @${other.name} say?` : 'Good.')
      case 'reply': {
        const parent = this.comments.length > 0 ? random.pick(this.comments) : undefined
        return this.#comment(member, parent?.postId ?? post, parent?.id ?? null, 'Indeed.')
      }
      case 'read':
        return this.#repeat('PATCH', '/notifications/mark-all-read', member).then(() => {})
      case 'list':
        return this.#list(member)
    }
  }

  async #set(pairs: Map<string, State>, pair: string, method: string, path: string, who: Member): Promise<void> {
    if (pairs.has(pair)) return this.#list(who)
    pairs.set(pair, 'busy')
    const { answered, doubtful } = await this.#repeat(method, path, who)
    pairs.set(pair, answered ? (doubtful ? 'kept' : 'exists') : 'uncertain')
  }

  /** Undoes one of the actions that certainly exist. */
  async #unset(pairs: Map<string, State>, method: string, path: (object: string) => string): Promise<void> {
    const { world, random } = this.#options
    const existing = [...pairs].filter(([, state]) => state === 'exists')
    if (existing.length === 0) return this.#list(random.pick(world.members))
    const [pair] = random.pick(existing)
    const [object = '', userId] = pair.split(':')
    const who = world.members.find((member) => member.id === userId)
    if (!who) throw new Error(`user ${userId} does not exist`)
    pairs.set(pair, 'busy')
    const { answered } = await this.#repeat(method, path(object), who)
    pairs.set(pair, answered ? 'gone' : 'uncertain')
  }

  #list(who: Member): Promise<void> {
    return this.#repeat('GET', '/notifications?limit=20', who).then(() => {})
  }

  /** Sends an Idempotency-Key, and a unique text that would reveal a second comment. */
  async #comment(who: Member, postId: string, parentId: string | null, text: string): Promise<void> {
    const key = `${who.id}-${++this.#lastKey}`
    const body = { body: `${text} (${key})`, ...(parentId !== null && { parentId }) }
    const answer = await this.#attempts('POST', `/posts/${postId}/comment`, who, { body, key })
    if (answer.outcome === 'ok' && hasId(answer.body)) this.comments.push({ id: answer.body.id, postId })
  }

  async #repeat(method: string, path: string, who: Member): Promise<{ answered: boolean; doubtful: boolean }> {
    const { outcome, doubtful } = await this.#attempts(method, path, who)
    return { answered: outcome === 'ok', doubtful }
  }

  /** Tries one api after the other with growing delays, until an answer or the timeout. */
  async #attempts(
    method: string,
    path: string,
    who: Member,
    options: CallOptions = {},
  ): Promise<Answer & { doubtful: boolean }> {
    const { ports, random } = this.#options
    const first = random.below(ports.length)
    const startedAt = performance.now()
    let doubtful = false
    for (let attempt = 0; ; attempt += 1) {
      const port = ports[(first + attempt) % ports.length] ?? 0
      const answer = await call(port, method, path, who.token, { ...options, fresh: attempt > 0 })
      const elapsed = performance.now() - startedAt
      if (answer.outcome === 'ok') {
        this.completed += 1
        this.latencies.push(elapsed)
      }
      if (answer.outcome === 'wrong') this.wrong.push(`${method} ${path} answered ${answer.status}`)
      if (answer.outcome === 'ok' || answer.outcome === 'wrong' || elapsed > PATIENCE_MS) return { ...answer, doubtful }
      doubtful ||= answer.outcome === 'unknown'
      const wait = random.next() * Math.min(LAST_WAIT_MS, FIRST_WAIT_MS * 2 ** attempt)
      await new Promise((resolve) => setTimeout(resolve, wait))
    }
  }
}

function hasId(body: unknown): body is { id: string } {
  return typeof body === 'object' && body !== null && 'id' in body && typeof body.id === 'string'
}
