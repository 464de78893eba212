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
/** Delays of reconnection, as in the client library: random and growing; longer after the server announced its end. */
const FIRST_WAIT_MS = 500
const GOING_AWAY_WAIT_MS = 5000
const LAST_WAIT_MS = 5000

/** A device that applies the changes it receives, acknowledges them, and reconnects to either push node after a cut. */
export class FoldingClient {
  readonly inbox = new HeldInbox()
  readonly member: Member
  live = false
  /** Time at which it last became live, and the number of cuts. */
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

  /** Cuts the connection as a network would. The device reconnects by itself. */
  cut(): void {
    this.#socket?.terminate()
  }

  /** Reads the whole inbox by REST, again until all pages have the same state. */
  async list(): Promise<List | undefined> {
    const { apiPorts, random } = this.#options
    const items: Notification[] = []
    for (let cursor: string | null = ''; cursor !== null; ) {
      const path: string = `/notifications?limit=100${cursor && `&cursor=${cursor}`}`
      const { outcome, body } = await call(random.pick(apiPorts), 'GET', path, this.member.token)
      if (outcome !== 'ok') return undefined
      // The body is not validated: other tests check the contract.
      const page = body as List & { nextCursor: string | null }
      items.push(...page.items)
      cursor = page.nextCursor
      if (cursor === null) return { ...page, items }
    }
    return undefined
  }

  #connect(): void {
    if (this.#stopped) return
    // Alternates between the nodes, because a load balancer sends nobody twice to a dead one.
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
      // No gap is possible within a connection, because the server starts at the state in the hello.
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
    if (!list) throw new Error('cannot fetch the list')
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
