import { WebSocket } from 'ws'
import { HeldInbox } from '../../client/src/core.ts'
import type { ServerFrame } from '../../src/protocol/frames.ts'
import type { Notification } from '../../src/protocol/notification.ts'
import { call } from './http.ts'
import type { Random } from './random.ts'
import type { Member } from './world.ts'

export type List = { items: Notification[]; unreadCount: number; unseenCount: number; state: string }

export type ClientOptions = {
  member: Member
  apiPorts: number[]
  pushPorts: number[]
  random: Random
  emptyState: string
}

const BEAT_MS = 5000
/** As the client library waits: at random, ever longer; longer when the server said that it goes. */
const FIRST_WAIT_MS = 500
const GOING_AWAY_WAIT_MS = 5000
const LAST_WAIT_MS = 5000

/** A device that folds what it is sent, acknowledges it, and connects again to any push node whenever it was cut off. */
export class FoldingClient {
  readonly inbox = new HeldInbox()
  readonly member: Member
  live = false
  /** When it last became live, and how often it was cut off. */
  liveSince = 0
  losses = 0
  readonly #options: ClientOptions
  #socket: WebSocket | undefined
  #timer: NodeJS.Timeout | undefined
  #beat: NodeJS.Timeout | undefined
  #failures = 0
  #node: number
  #stopped = false

  constructor(options: ClientOptions) {
    this.#options = options
    this.member = options.member
    this.#node = options.random.below(options.pushPorts.length)
    this.inbox.replace({ items: [], unreadCount: 0, unseenCount: 0, state: options.emptyState })
    this.#connect()
  }

  stop(): void {
    this.#stopped = true
    this.#lost(1000)
  }

  /** Cuts the connection as a network does; it comes back by itself. */
  cut(): void {
    this.#socket?.terminate()
  }

  /** The whole inbox by REST, read again until all pages are of one state. */
  async list(): Promise<List | undefined> {
    const { apiPorts, random } = this.#options
    const items: Notification[] = []
    for (let cursor: string | null = ''; cursor !== null; ) {
      const path: string = `/notifications?limit=100${cursor && `&cursor=${cursor}`}`
      const { outcome, body } = await call(random.pick(apiPorts), 'GET', path, this.member.token)
      if (outcome !== 'ok') return undefined
      // Answered 200 by the server under test: the contract is checked by its own tests.
      const page = body as List & { nextCursor: string | null }
      items.push(...page.items)
      cursor = page.nextCursor
      if (cursor === null) return { ...page, items }
    }
    return undefined
  }

  #connect(): void {
    if (this.#stopped) return
    // The other node each time, as a load balancer sends nobody twice to one that is gone.
    const { pushPorts } = this.#options
    const port = pushPorts[this.#node++ % pushPorts.length] ?? 0
    const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, 'ravenpost.v1', {
      handshakeTimeout: 10_000,
      perMessageDeflate: false,
    })
    this.#socket = socket
    let heardAt = Date.now()
    socket.on('error', () => {})
    socket.on('open', () => {
      this.#send({ type: 'hello', token: this.member.token, since: this.inbox.state })
      this.#beat = setInterval(() => {
        if (Date.now() - heardAt > 2 * BEAT_MS) socket.terminate()
        else this.#send({ type: 'ping' })
      }, BEAT_MS)
    })
    let last: Promise<void> = Promise.resolve()
    socket.on('message', (data) => {
      heardAt = Date.now()
      const frame: ServerFrame = JSON.parse(data.toString())
      last = last.then(() => (socket === this.#socket ? this.#take(frame) : undefined)).catch(() => socket.terminate())
    })
    socket.on('close', (code) => {
      if (socket === this.#socket) this.#lost(code)
    })
  }

  async #take(frame: ServerFrame): Promise<void> {
    if (frame.type === 'changes') {
      const place = this.inbox.place(frame)
      // A gap within a connection cannot be: the server starts at the state that was sent with hello.
      if (place === 'missed' || place === 'otherEpoch') await this.#fetchList()
      else if (place === 'next') this.inbox.apply(frame)
      this.#send({ type: 'ack', state: this.inbox.state })
    } else if (frame.type === 'synced') this.#becomeLive()
    else if (frame.type === 'reset') {
      await this.#fetchList()
      this.#becomeLive()
    } else if (frame.type === 'welcome') this.#failures = 0
  }

  #becomeLive(): void {
    this.live = true
    this.liveSince = performance.now()
  }

  async #fetchList(): Promise<void> {
    const list = await this.list()
    if (!list) throw new Error('the list could not be fetched')
    this.inbox.replace(list)
  }

  #send(frame: object): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame))
  }

  #lost(code: number): void {
    clearTimeout(this.#timer)
    clearInterval(this.#beat)
    this.#socket?.terminate()
    this.#socket = undefined
    this.live = false
    this.losses += 1
    if (this.#stopped) return
    const first = code === 1001 ? GOING_AWAY_WAIT_MS : FIRST_WAIT_MS
    const wait = this.#options.random.next() * Math.min(LAST_WAIT_MS, first * 2 ** this.#failures++)
    this.#timer = setTimeout(() => this.#connect(), wait)
  }
}
