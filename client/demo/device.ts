import { WebSocket } from 'ws'
import { type Changes, createRavenpost, type Notification, type Ravenpost } from '../src/core.ts'
import type { Person } from './person.ts'

/** What `GET /notifications` answers, as far as it is shown. */
export type List = { items: readonly Notification[]; unreadCount: number; unseenCount: number }

/** A device of a person: the client package, as an app uses it. */
export class Device {
  readonly name: string
  readonly changes: Changes[] = []
  /** Frames that did not begin where the one before ended. */
  gaps = 0
  readonly #client: Ravenpost
  readonly #person: Person
  readonly #watchers = new Set<() => void>()
  #socket: WebSocket | undefined

  constructor(url: string, socketUrl: string, name: string, person: Person) {
    this.name = name
    this.#person = person
    this.#client = createRavenpost({
      url,
      socketUrl,
      pageSize: 100,
      getToken: () => person.token,
      openSocket: (address, protocol) => {
        this.#socket = new WebSocket(address, protocol)
        return this.#socket
      },
    })
    const changed = () => {
      for (const watcher of this.#watchers) watcher()
    }
    this.#client.subscribe(changed)
    this.#client.connection.subscribe(changed)
    this.#client.liveCounts.subscribe(changed)
    this.#client.on('frame', ({ frame }) => {
      if (frame.type !== 'changes') return
      if (frame.from !== this.#client.counts.getSnapshot().state) this.gaps += 1
      this.changes.push(frame)
    })
  }

  /** Goes on from the state it holds; resolves when everything that came after that state has arrived. */
  async connect(): Promise<void> {
    this.#client.start()
    const isLive = () => this.#client.connection.getSnapshot().status === 'live'
    if (!isLive() && (await this.until(isLive, 5000)) === undefined) throw new Error(`${this.name}: not connected`)
  }

  watch(post: string): void {
    this.#client.watch({ posts: [post] })
  }

  /** Cuts the connection without a word, as a tunnel does, and stays away until `connect`. */
  drop(): void {
    this.#socket?.terminate()
    this.#client.stop()
  }

  close(): void {
    this.#client.stop()
  }

  get closeCode(): number | undefined {
    return this.#client.connection.getSnapshot().closeCode
  }

  get unreadCount(): number {
    return this.#client.counts.getSnapshot().unreadCount
  }

  counts(post: string): { likeCount: number; commentCount: number } | undefined {
    return this.#client.liveCounts.getSnapshot().get(post)
  }

  list(): Promise<List> {
    return this.#person.get('/notifications?limit=100')
  }

  find(title: string): Notification | undefined {
    return this.#client.inbox.getSnapshot().items.find((notification) => notification.title === title)
  }

  /** What the device shows, or would show of this list; all but `deliveredAt`, whose moves are no changes. */
  content(list: List = { ...this.#client.inbox.getSnapshot(), ...this.#client.counts.getSnapshot() }) {
    const { items, unreadCount, unseenCount } = list
    return { items: items.map(({ deliveredAt: _, ...rest }) => rest), unreadCount, unseenCount }
  }

  /** Ids of the notifications that were created, changed or removed by the frames from this one on. */
  changedSince(frame: number): string[] {
    const changes = this.changes.slice(frame)
    return changes.flatMap(({ upserts, removes }) => [...upserts.map(({ id }) => id), ...removes]).sort()
  }

  /** The time of the change that makes the condition true; undefined when none does. */
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
}
