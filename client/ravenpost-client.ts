import type { Notification } from '../src/notifications/view.ts'
import type { ServerFrame } from '../src/push/protocol.ts'
import { type Changes, type Counts, HeldInbox } from './held-inbox.ts'

type FrameOf<T extends ServerFrame['type']> = Extract<ServerFrame, { type: T }>
type Ok = FrameOf<'ok'>

/** `stopped`: for good, with the close code that said so. */
export type Status = 'connecting' | 'catchingUp' | 'live' | 'waiting' | 'stopped'

export type Options = {
  /** Of the server, for example https://example.org. */
  url: string
  /** A valid access token; `renew` when the last one was refused. */
  token(renew: boolean): string | Promise<string>
  onChange?(inbox: HeldInbox): void
  onStatus?(status: Status, closeCode?: number): void
  onCounts?(posts: FrameOf<'counts'>['posts']): void
}

const SECOND = 1000
const PAGE = 100
const REQUEST_MS = 20 * SECOND
/** Close codes after which connecting again is useless. */
const FINAL = [1009, 4400, 4403]

/**
 * Keeps an inbox up to date over a websocket: folds every change, acknowledges it, and after a lost connection goes on
 * where it was. Works in browsers and in Node, without dependencies.
 */
export class RavenpostClient {
  readonly inbox = new HeldInbox()
  readonly #options: Options
  #socket: WebSocket | undefined
  #timer: ReturnType<typeof setTimeout> | undefined
  #heardAt = 0
  #failures = 0
  #refused = false
  #stopped = false
  #lastRef = 0
  readonly #asked = new Map<string, { resolve(ok: Ok): void; reject(error: Error): void }>()
  #watched: string[] = []

  constructor(options: Options) {
    this.#options = options
  }

  /** Connects, again and again until `stop`. */
  start(): void {
    this.#stopped = false
    this.#connect().catch(() => this.#lost(0))
  }

  stop(): void {
    this.#stopped = true
    this.#lost(1000)
  }

  read(ids: string[]): Promise<Ok> {
    return this.#ask({ type: 'read', ids })
  }

  /** Reads everything up to the state that is held, nothing that came later. */
  readAll(): Promise<Ok> {
    return this.#ask({ type: 'readAll', upTo: this.inbox.state })
  }

  seen(): Promise<Ok> {
    return this.#ask({ type: 'seen', upTo: this.inbox.state })
  }

  /** Live counts of these posts, told to `onCounts`; kept over reconnections. */
  watch(posts: string[]): void {
    this.#watched = posts
    this.#send({ type: 'watch', posts })
  }

  /** Hands the server a new token before the old one expires. */
  async renewToken(): Promise<void> {
    this.#send({ type: 'token', token: await this.#options.token(true) })
  }

  async #connect(): Promise<void> {
    this.#options.onStatus?.('connecting')
    if (this.inbox.state === undefined) await this.#fetchList()
    const token = await this.#options.token(this.#refused)
    if (this.#stopped) return
    const socket = new WebSocket(`${this.#options.url.replace(/^http/, 'ws')}/ws`, 'ravenpost.v1')
    this.#socket = socket
    socket.onopen = () => this.#send({ type: 'hello', token, since: this.inbox.state })
    // Frames are taken one after the other, also while a list is being fetched.
    let last: Promise<void> = Promise.resolve()
    socket.onmessage = ({ data }) => {
      this.#heardAt = Date.now()
      const take = async () => (socket === this.#socket ? this.#take(JSON.parse(data)) : undefined)
      last = last.then(take).catch(() => socket.close(3000))
    }
    socket.onclose = ({ code }) => {
      if (socket === this.#socket) this.#lost(code)
    }
  }

  async #take(frame: ServerFrame): Promise<void> {
    switch (frame.type) {
      case 'welcome':
        return this.#welcome(frame)
      case 'changes':
        return this.#fold(frame)
      case 'synced':
        return this.#options.onStatus?.('live')
      case 'reset':
        await this.#fetchList()
        return this.#options.onStatus?.('live')
      case 'counts':
        return this.#options.onCounts?.(frame.posts)
      case 'ok':
        this.inbox.count(frame.state, frame)
        return this.#answered(frame.ref)?.resolve(frame)
      case 'error':
        return this.#answered(frame.ref)?.reject(new Error(`${frame.code}: ${frame.message}`))
    }
  }

  #welcome(frame: FrameOf<'welcome'>): void {
    this.#failures = 0
    this.#refused = false
    this.inbox.count(frame.state, frame)
    this.#options.onStatus?.('catchingUp')
    if (this.#watched.length > 0) this.#send({ type: 'watch', posts: this.#watched })
    this.#beat(frame.heartbeatSeconds * SECOND)
  }

  /** Two beats without a word: the connection is dead, whatever the network says. */
  #beat(wait: number): void {
    this.#timer = setTimeout(() => {
      if (Date.now() - this.#heardAt > 2 * wait) return this.#lost(4408)
      this.#send({ type: 'ping' })
      this.#beat(wait)
    }, wait)
  }

  async #fold(changes: Changes): Promise<void> {
    const place = this.inbox.place(changes)
    if (place === 'otherEpoch') await this.#fetchList()
    else if (place === 'missed') await this.#fetchChanges()
    else if (place === 'next') this.inbox.apply(changes)
    if (place === 'next') this.#options.onChange?.(this.inbox)
    this.#send({ type: 'ack', state: this.inbox.state })
  }

  async #fetchChanges(): Promise<void> {
    for (let more = true; more; ) {
      const response = await this.#request(`/notifications/changes?since=${this.inbox.state}&limit=${PAGE}`)
      if (response.status === 410) return this.#fetchList()
      const changes: Changes = await bodyOf(response)
      this.inbox.apply(changes)
      more = changes.more
    }
    this.#options.onChange?.(this.inbox)
  }

  /** The newest page; what lies below is history, to be fetched when somebody scrolls. */
  async #fetchList(): Promise<void> {
    const list: Counts & { items: Notification[]; state: string } = await bodyOf(
      await this.#request(`/notifications?limit=${PAGE}`),
    )
    this.inbox.replace(list)
    this.#options.onChange?.(this.inbox)
    await this.#request('/notifications/ack', JSON.stringify({ state: list.state }))
  }

  /** A GET, or a POST of this body. */
  async #request(path: string, body?: string): Promise<Response> {
    const token = await this.#options.token(this.#refused)
    const headers = {
      authorization: `Bearer ${token}`,
      ...(body !== undefined && { 'content-type': 'application/json' }),
    }
    const init = body === undefined ? { headers } : { headers, body, method: 'POST' }
    const response = await fetch(this.#options.url + path, { ...init, signal: AbortSignal.timeout(REQUEST_MS) })
    this.#refused = response.status === 401
    return response
  }

  #ask(frame: object): Promise<Ok> {
    const ref = String(++this.#lastRef)
    return new Promise((resolve, reject) => {
      if (this.#send({ ...frame, ref })) this.#asked.set(ref, { resolve, reject })
      else reject(new Error('not connected'))
    })
  }

  #answered(ref = '') {
    const asked = this.#asked.get(ref)
    this.#asked.delete(ref)
    return asked
  }

  #send(frame: object): boolean {
    if (this.#socket?.readyState !== WebSocket.OPEN) return false
    this.#socket.send(JSON.stringify(frame))
    return true
  }

  #lost(code: number): void {
    clearTimeout(this.#timer)
    this.#socket?.close()
    this.#socket = undefined
    for (const { reject } of this.#asked.values()) reject(new Error('the connection was lost'))
    this.#asked.clear()
    this.#refused ||= code === 4401
    this.#stopped ||= FINAL.includes(code)
    if (!this.#stopped) this.#timer = setTimeout(() => this.start(), waitAfter(code, this.#failures++))
    this.#options.onStatus?.(this.#stopped ? 'stopped' : 'waiting', code)
  }
}

/** Always drawn at random, so that a node's clients do not come back all at once. */
function waitAfter(code: number, failures: number): number {
  if (code === 4429) return (60 + 60 * Math.random()) * SECOND
  const first = code === 1001 ? 5 * SECOND : SECOND / 2
  return Math.random() * Math.min(30 * SECOND, first * 2 ** failures)
}

async function bodyOf<T>(response: Response): Promise<T> {
  if (!response.ok) throw new Error(`${response.url} answered ${response.status}`)
  return (await response.json()) as T
}
