import { WebSocket } from 'ws'
import type { ServerFrame } from '../../src/protocol/frames.ts'
import type { Notification } from '../../src/protocol/notification.ts'
import { type Changes, HeldInbox, type List } from '../held-inbox.ts'
import type { Person } from './person.ts'

/** A device of a person: one raw websocket, and the inbox that its frames make. */
export class Device {
  readonly name: string
  readonly inbox = new HeldInbox()
  readonly changes: Changes[] = []
  /** Frames that did not begin where the one before ended. */
  gaps = 0
  /** Live counts of watched posts. */
  readonly posts = new Map<string, { likeCount: number; commentCount: number }>()
  closeCode: number | undefined
  readonly #url: string
  readonly #person: Person
  readonly #watchers = new Set<() => void>()
  #socket: WebSocket | undefined

  constructor(url: string, name: string, person: Person) {
    this.#url = url
    this.name = name
    this.#person = person
  }

  /** Says hello with the state it holds; resolves when everything that came after that state has arrived. */
  async connect(): Promise<void> {
    if (!this.inbox.state) this.inbox.replace(await this.list())
    const socket = new WebSocket(this.#url, 'ravenpost.v1')
    this.#socket = socket
    this.closeCode = undefined
    await new Promise<void>((resolve, reject) => {
      socket.on('open', () => this.send({ type: 'hello', token: this.#person.token, since: this.inbox.state }))
      socket.on('message', (data) => {
        const frame: ServerFrame = JSON.parse(data.toString())
        this.#take(frame)
        if (frame.type === 'synced') resolve()
      })
      socket.on('error', reject)
      socket.on('close', (code, reason) => {
        this.closeCode = code
        this.#changed()
        reject(new Error(`${this.name}: closed with ${code} ${reason}`))
      })
    })
  }

  send(frame: object): void {
    this.#socket?.send(JSON.stringify(frame))
  }

  /** Cuts the connection without a word, as a tunnel does. */
  async drop(): Promise<void> {
    this.#socket?.terminate()
    await this.until(() => this.closeCode !== undefined, 1000)
  }

  close(): void {
    this.#socket?.close()
  }

  list(): Promise<List> {
    return this.#person.get('/notifications?limit=100')
  }

  find(title: string): Notification | undefined {
    return this.inbox.items.find((notification) => notification.title === title)
  }

  /** What the device shows, or would show of this list; all but `deliveredAt`, whose moves are no changes. */
  content(list: Omit<List, 'state'> = { items: this.inbox.items, ...this.inbox.counts }) {
    const { items, unreadCount, unseenCount } = list
    return { items: items.map(({ deliveredAt: _, ...rest }) => rest), unreadCount, unseenCount }
  }

  /** Ids of the notifications that were created, changed or removed by the frames from this one on. */
  changedSince(frame: number): string[] {
    const changes = this.changes.slice(frame)
    return changes.flatMap(({ upserts, removes }) => [...upserts.map(({ id }) => id), ...removes]).sort()
  }

  /** The time of the frame that makes the condition true; undefined when none does. */
  until(condition: () => boolean, patienceMs: number): Promise<number | undefined> {
    return new Promise((resolve) => {
      const end = (time?: number) => {
        clearTimeout(timer)
        this.#watchers.delete(watcher)
        resolve(time)
      }
      const timer = setTimeout(end, patienceMs, undefined)
      const watcher = () => condition() && end(performance.now())
      this.#watchers.add(watcher)
    })
  }

  #take(frame: ServerFrame): void {
    if (frame.type === 'changes') {
      if (frame.from !== this.inbox.state) this.gaps += 1
      this.changes.push(frame)
      this.inbox.apply(frame)
      this.send({ type: 'ack', state: frame.to })
    }
    if (frame.type === 'counts') for (const post of frame.posts) this.posts.set(post.id, post)
    this.#changed()
  }

  #changed(): void {
    for (const watcher of this.#watchers) watcher()
  }
}
