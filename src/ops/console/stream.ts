import type { App } from '../../app.ts'
import { repeat } from '../../base/pulse.ts'
import type { Read, Reader, Row } from '../../http/shown-sql/reader.ts'

/**
 * One second of the pipeline: what was written at each stage since the previous tick, and the figures of the system.
 */
export type Tick = { at: string; system: Row; events: Row[]; sql: { system: Read['sql']; pipeline: Read['sql'] } }
export type Viewer = { userId: string; show(tick: Tick): void; end(): void }

const EVERY_MS = 1000
/** Seconds to read again, because rows of late commits have lower ids and earlier times than rows already read. */
const OVERLAP_IDS = 500
const OVERLAP_MS = 5000

/** Reads the pipeline once a second for all viewers of this process, and not at all without one. */
export class Pipeline {
  readonly #reader: Reader
  readonly #pool: App['pool']
  readonly #log: App['log']
  readonly #viewers = new Set<Viewer>()
  #polling: { close(): Promise<void> } | undefined
  /** The check of the viewers. It may wait for a connection of requests; the stream does not wait for it. */
  #checking: Promise<void> | undefined
  #lastId: bigint | undefined
  #since = 0
  /** Keys of sent events, each with the time at which it may be forgotten. */
  readonly #sent = new Map<string, number>()

  constructor({ reader, pool, log }: Pick<App, 'reader' | 'pool' | 'log'>) {
    this.#reader = reader
    this.#pool = pool
    this.#log = log
  }

  get viewers(): number {
    return this.#viewers.size
  }

  join(viewer: Viewer): void {
    this.#viewers.add(viewer)
    this.#polling ??= repeat(EVERY_MS, this.#log, 'reading the pipeline', () => this.#tick())
  }

  leave(viewer: Viewer): void {
    this.#viewers.delete(viewer)
    if (this.#viewers.size === 0) void this.#stop()
  }

  async close(): Promise<void> {
    for (const viewer of this.#viewers) viewer.end()
    await this.#stop()
  }

  async #stop(): Promise<void> {
    const polling = this.#polling
    this.#polling = undefined
    this.#lastId = undefined
    this.#sent.clear()
    await polling?.close()
    await this.#checking
  }

  async #tick(): Promise<void> {
    this.#checking ??= this.#endWithdrawn()
      .catch((err) => this.#log.warn({ err }, 'the viewers of the pipeline were not checked'))
      .finally(() => {
        this.#checking = undefined
      })
    const system = await this.#reader.read('system', [], EVERY_MS / 2)
    const row = system.rows[0] ?? {}
    const now = Date.parse(String(row.at))
    const newest = BigInt(String(row.lastEventId ?? 0))
    const isFirst = this.#lastId === undefined
    const afterId = (this.#lastId ?? newest) - BigInt(OVERLAP_IDS)
    const since = new Date((isFirst ? now : this.#since) - OVERLAP_MS).toISOString()
    const read = await this.#reader.read('pipeline', [String(afterId < 0n ? 0n : afterId), since])
    const events = read.rows.filter(({ stage, id }) => {
      const key = `${stage} ${id}`
      const known = this.#sent.has(key)
      this.#sent.set(key, now + 60_000)
      return !known && !isFirst
    })
    for (const [key, until] of this.#sent) if (until < now) this.#sent.delete(key)
    this.#lastId = newest
    this.#since = now
    const tick = { at: String(row.at), system: row, events, sql: { system: system.sql, pipeline: read.sql } }
    for (const viewer of this.#viewers) viewer.show(tick)
  }

  /** Ends the streams of users who may no longer read below /admin, as `requireRole` refuses their requests. */
  async #endWithdrawn(): Promise<void> {
    const viewers = [...this.#viewers]
    const { rows } = await this.#pool.query<{ id: string }>({
      name: 'staff_among_viewers',
      text: `select id from social.users
             where id = any($1::bigint[]) and role <> 'user' and deleted_at is null and not password_change_required`,
      values: [[...new Set(viewers.map(({ userId }) => userId))]],
    })
    const staff = new Set(rows.map(({ id }) => id))
    for (const viewer of viewers) if (!staff.has(viewer.userId)) viewer.end()
  }
}
