import type { ServerFrame } from '../src/protocol/frames.ts'
import { Connection, type Ok } from './connection.ts'
import { type Changes, HeldInbox, type List } from './held-inbox.ts'
import { FINAL_CODES, pause, waitAfter } from './reconnect.ts'

type FrameOf<T extends ServerFrame['type']> = Extract<ServerFrame, { type: T }>

/** `waiting`: to connect again. `stopped`: by `stop`, or by a close code after which connecting again is useless. */
export type Status = 'connecting' | 'catchingUp' | 'live' | 'waiting' | 'stopped'

export type Options = {
  /** Of the server, for example https://example.org. */
  url: string
  /** Of its websockets, where that is not `url` + /ws. */
  socketUrl?: string
  /** A valid access token; `renew` when the last one was refused. When it throws, it is asked again after a while. */
  token(renew: boolean): string | Promise<string>
  onChange?(inbox: HeldInbox): void
  onStatus?(status: Status, closeCode?: number): void
  onCounts?(posts: FrameOf<'counts'>['posts']): void
}

const SECOND = 1000
const PAGE = 100
const REQUEST_MS = 20 * SECOND

/**
 * Keeps an inbox up to date over a websocket: folds every change, acknowledges it, and after a lost connection goes on
 * where it was. Works in browsers and in Node, without dependencies.
 */
export class RavenpostClient {
  readonly inbox = new HeldInbox()
  readonly #options: Options
  #running: AbortController | undefined
  #connection: Connection | undefined
  #failures = 0
  #refused = false
  #watched: string[] = []

  constructor(options: Options) {
    this.#options = options
  }

  /** Connects, again and again until `stop`. */
  start(): void {
    if (this.#running) return
    this.#running = new AbortController()
    void this.#run(this.#running.signal)
  }

  stop(): void {
    this.#running?.abort()
    this.#running = undefined
    this.#connection?.end(1000)
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
    this.#connection?.send({ type: 'watch', posts })
  }

  /** Hands the server a new token before the old one expires, so that the connection outlives it. */
  async renewToken(): Promise<void> {
    const token = await this.#options.token(true)
    this.#connection?.send({ type: 'token', token })
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const code = await this.#connect(signal).catch(() => 1006)
      this.#refused ||= code === 4401
      if (signal.aborted) break
      if (FINAL_CODES.includes(code)) {
        this.#running = undefined
        return this.#options.onStatus?.('stopped', code)
      }
      this.#options.onStatus?.('waiting', code)
      await pause(waitAfter(code, this.#failures++), signal)
    }
    this.#options.onStatus?.('stopped')
  }

  /** Resolves with the close code when the connection has ended. */
  async #connect(signal: AbortSignal): Promise<number> {
    this.#options.onStatus?.('connecting')
    if (this.inbox.state === undefined) await this.#fetchList()
    const token = await this.#options.token(this.#refused)
    signal.throwIfAborted()
    const { url, socketUrl = `${url.replace(/^http/, 'ws')}/ws` } = this.#options
    const hello = { type: 'hello', token, since: this.inbox.state }
    const connection = new Connection(socketUrl, hello, (frame) => this.#take(connection, frame))
    this.#connection = connection
    return connection.ended
  }

  async #take(connection: Connection, frame: ServerFrame): Promise<void> {
    switch (frame.type) {
      case 'welcome':
        this.#refused = false
        this.#options.onStatus?.('catchingUp')
        if (this.#watched.length > 0) connection.send({ type: 'watch', posts: this.#watched })
        return connection.startHeartbeat(frame.heartbeatSeconds * SECOND)
      case 'changes':
        await this.#fold(frame)
        return void connection.send({ type: 'ack', state: this.inbox.state })
      case 'reset':
        await this.#fetchList()
        return this.#live(connection)
      case 'synced':
        return this.#live(connection)
      case 'counts':
        return this.#options.onCounts?.(frame.posts)
      case 'ok':
        this.inbox.count(frame.state, frame)
        this.#options.onChange?.(this.inbox)
        return connection.answered(frame)
      case 'error':
        return connection.answered(frame)
    }
  }

  #live(connection: Connection): void {
    this.#failures = 0
    connection.send({ type: 'ack', state: this.inbox.state })
    this.#options.onStatus?.('live')
  }

  async #fold(changes: Changes): Promise<void> {
    switch (this.inbox.place(changes)) {
      case 'otherEpoch':
        return this.#fetchList()
      case 'missed':
        return this.#fetchChanges()
      case 'next':
        this.inbox.apply(changes)
        this.#options.onChange?.(this.inbox)
    }
  }

  async #fetchChanges(): Promise<void> {
    for (let more = true; more; ) {
      const response = await this.#get(`/notifications/changes?since=${this.inbox.state}&limit=${PAGE}`)
      if (response.status === 410) return this.#fetchList()
      const changes: Changes = await bodyOf(response)
      this.inbox.apply(changes)
      more = changes.more
    }
    this.#options.onChange?.(this.inbox)
  }

  /** The newest page; what lies below is history, to be fetched when somebody scrolls. */
  async #fetchList(): Promise<void> {
    const list: List = await bodyOf(await this.#get(`/notifications?limit=${PAGE}`))
    this.inbox.replace(list)
    this.#options.onChange?.(this.inbox)
  }

  async #get(path: string): Promise<Response> {
    const headers = { authorization: `Bearer ${await this.#options.token(this.#refused)}` }
    const response = await fetch(this.#options.url + path, { headers, signal: AbortSignal.timeout(REQUEST_MS) })
    this.#refused = response.status === 401
    return response
  }

  #ask(frame: object): Promise<Ok> {
    return this.#connection?.ask(frame) ?? Promise.reject(new Error('not connected'))
  }
}

async function bodyOf<T>(response: Response): Promise<T> {
  if (!response.ok) throw new Error(`${response.url} answered ${response.status}`)
  return response.json() as Promise<T>
}
