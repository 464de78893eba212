import assert from 'node:assert/strict'
import type { Test } from 'tap'
import { WebSocket } from 'ws'
import { type Changes, HeldInbox } from '../../client/src/core.ts'
import type { Notification } from '../../src/protocol/notification.ts'
import type { TestClient } from '../client.ts'
import { TestSocket } from '../push/socket.ts'
import { eventually } from '../setup.ts'

/**
 * One device of a user: a held inbox and its socket. Checks every frame against the protocol when it is applied, and
 * collects violations in `faults`.
 */
export class Device {
  readonly user: TestClient
  readonly inbox = new HeldInbox()
  readonly faults: string[] = []
  /** Every notification this device was ever sent, for a look at whose they are. */
  readonly received: Notification[] = []
  socket: TestSocket | undefined
  #taken = 0
  /** End of the last window of changes on this connection. */
  #end: string | undefined
  readonly #t: Test
  readonly #url: string

  constructor(t: Test, url: string, user: TestClient) {
    this.#t = t
    this.#url = `${url.replace('http', 'ws')}/ws`
    this.user = user
  }

  get connected(): boolean {
    return this.socket?.socket.readyState === WebSocket.OPEN && this.socket.of('welcome').length > 0
  }

  /** Reconnects from its own state, or as a device without any state. Stops when it is cut meanwhile. */
  async connect({ afresh = false } = {}): Promise<void> {
    this.disconnect()
    if (afresh) this.inbox.state = undefined
    const since = this.inbox.state
    const socket = new TestSocket(new WebSocket(this.#url, 'ravenpost.v1'))
    this.#t.teardown(() => socket.socket.terminate())
    this.socket = socket
    this.#taken = 0
    this.#end = since
    socket.socket.on('open', () => socket.send({ type: 'hello', token: this.user.accessToken, since }))
    socket.socket.on('message', () => socket === this.socket && this.#fold())
    await eventually(() => socket.of('welcome').length > 0 || socket.closeCode !== undefined)
    if (this.inbox.state === undefined) await this.fetchList()
  }

  /** Cuts the connection immediately, during any work. */
  disconnect(): void {
    this.#fold()
    this.socket?.socket.terminate()
    this.socket = undefined
  }

  /** Frames that arrive meanwhile wait and are applied after the list. */
  async fetchList(): Promise<void> {
    this.inbox.replace(await this.user.get('/notifications?limit=100'))
    this.#fold()
  }

  /** Asks over REST for what changed since the held state, as a client without socket does. */
  async poll(limit: number): Promise<void> {
    if (this.inbox.state === undefined) return this.fetchList()
    const changes: Changes = await this.user.get(`/notifications/changes?since=${this.inbox.state}&limit=${limit}`)
    if (this.inbox.place(changes) === 'next') this.inbox.apply(changes)
    if (changes.more) await this.poll(limit)
  }

  /** Waits until the held notifications equal the list. Otherwise fails and shows both. */
  async agreesWithList(seconds = 10): Promise<void> {
    const look = async () => {
      const { items, unreadCount, unseenCount, state } = await this.user.get('/notifications?limit=100')
      return {
        list: { state, unreadCount, unseenCount, items: inOrder(items) },
        held: { state: this.inbox.state, ...this.inbox.counts, items: inOrder(this.inbox.items) },
      }
    }
    await eventually(async () => {
      const { list, held } = await look()
      return list.state === held.state
    }, seconds).catch(() => undefined)
    const { list, held } = await look()
    assert.deepEqual(held, list, `a device of ${this.user.username} holds what the list says`)
  }

  #fold(): void {
    if (!this.socket || this.inbox.state === undefined) return
    for (const frame of this.socket.frames.slice(this.#taken)) {
      this.#taken += 1
      if (frame.type === 'welcome' && frame.userId !== this.user.id) this.#fault('the welcome of somebody else', frame)
      if (frame.type === 'error') this.#fault('an error', frame)
      if (frame.type === 'reset') this.#fault('a reset, though nothing was purged', frame)
      if (frame.type === 'changes') this.#take(frame)
    }
  }

  /** Windows follow each other without gap or overlap: so no change of a notification is sent twice on one connection. */
  #take(changes: Changes): void {
    const { from, to, upserts, removes, more, unreadCount, unseenCount } = changes
    if (this.#end !== undefined && from !== this.#end)
      this.#fault(`a window that does not go on from ${this.#end}`, changes)
    if (numberOf(to) <= numberOf(from)) this.#fault('a window that does not go on', changes)
    const ids = [...upserts.map(({ id }) => id), ...removes]
    if (new Set(ids).size < ids.length) this.#fault('a notification twice in one frame', changes)
    if (ids.length > numberOf(to) - numberOf(from)) this.#fault('more changes than modseqs', changes)
    if (more === (unreadCount !== undefined || unseenCount !== undefined)) this.#fault('counts out of place', changes)
    this.#end = to
    this.received.push(...upserts)
    const place = this.inbox.place(changes)
    if (place === 'next') this.inbox.apply(changes)
    else if (place !== 'known') this.#fault(`a frame that cannot be placed (${place})`, changes)
  }

  #fault(what: string, frame: unknown): void {
    this.faults.push(`${this.user.username}: ${what}: ${JSON.stringify(frame)}`)
  }
}

/** All properties but `deliveredAt`, which is not part of the state. */
function inOrder(items: Notification[]): object[] {
  return [...items].sort((a, b) => Number(a.id) - Number(b.id)).map(({ deliveredAt: _, ...rest }) => rest)
}

function numberOf(state: string): number {
  return Number(state.slice(state.lastIndexOf('.') + 1))
}
