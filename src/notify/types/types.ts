import type pg from 'pg'
import type { Logger } from 'pino'
import type { Priority } from '../../protocol/notification.ts'

/** The settings of a notification type, a row of notify.types. */
export type NotificationType = {
  type: string
  /** Created only by social actions; cannot be sent. */
  social: boolean
  priority: Priority
  /** Priority when the recipient follows an actor. */
  followedPriority: Priority
  severity: 'info' | 'success' | 'warning' | 'error'
  /** Channels, each true if it is on by default. */
  channels: Channel[]
  /** Actors of a group shown one by one before a window opens. */
  instantThreshold: number
  /** Length of a window in seconds. 0: events never wait. */
  windowSeconds: number
  jitter: number
  maxGroupSize: number
  retentionSeconds: number
  dnd: 'defer' | 'silent' | 'ignore'
  title: string | null
  body: string | null
  url: string | null
  fallback: string | null
  words: WordsByLocale
}

/** Templates in other languages, by BCP 47 tag. The columns with the same names are English. */
export type WordsByLocale = Record<string, { title?: string; body?: string; fallback?: string }>

export const channels = ['inApp', 'email', 'webPush'] as const
export type Channel = (typeof channels)[number]

/** The type whose settings apply to undefined types. */
const OTHERWISE = 'system'

/**
 * Types older than this are reloaded, and types twice as old are not used. So a change takes effect within two seconds.
 */
const FRESH_MS = 1000

/** The notification types of the database, reloaded at most every second while they are used. */
export class NotificationTypes {
  readonly #pool: pg.Pool
  readonly #log: Logger
  #types = new Map<string, NotificationType>()
  #readAt = Number.NEGATIVE_INFINITY
  #reading: Promise<void> | undefined

  constructor(pool: pg.Pool, log: Logger) {
    this.#pool = pool
    this.#log = log
  }

  /** The current types. Slightly old ones are used during a reload; after a longer pause the reload is awaited. */
  async current(): Promise<TypeLookup> {
    const age = performance.now() - this.#readAt
    if (age > FRESH_MS) this.#reading ??= this.#read()
    if (age > 2 * FRESH_MS) await this.#reading
    const types = this.#types
    const otherwise = types.get(OTHERWISE)
    if (!otherwise) throw new Error(`notify.types has no row ${OTHERWISE}`)
    return (type) => types.get(type) ?? { ...otherwise, type }
  }

  /** Names of the defined types. */
  async names(): Promise<string[]> {
    await this.current()
    return [...this.#types.keys()].filter((name) => name !== OTHERWISE)
  }

  async #read(): Promise<void> {
    try {
      const { rows } = await this.#pool.query<NotificationType>({ name: 'notification_types', text: readTypes })
      this.#types = new Map(rows.map((row) => [row.type, row]))
      this.#readAt = performance.now()
    } catch (error) {
      if (this.#types.size === 0) throw error
      this.#log.warn({ err: error }, 'cannot reload notification types; keeping the previous ones')
    } finally {
      this.#reading = undefined
    }
  }
}

export type TypeLookup = (type: string) => NotificationType

export const typeColumns = `type, social, priority, severity, channels, instant_threshold as "instantThreshold", window_seconds as "windowSeconds",
  jitter, max_group_size as "maxGroupSize", extract(epoch from retention)::float8 as "retentionSeconds", dnd, title, body, url, fallback, words`

const readTypes = `select ${typeColumns}, coalesce(followed_priority, priority) as "followedPriority" from notify.types`
