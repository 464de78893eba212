import { randomUUID } from 'node:crypto'
import type pg from 'pg'
import type { Logger } from 'pino'
import { Pulse } from './pulse.ts'

/**
 * Sends hints that there is work: after the commit, outside the user's transaction, at most once per few milliseconds and
 * process. A lost hint delays work but loses no data, because the poll and the sweeps find it.
 */
export type WakeUps = {
  /** The outbox has new events, so the dispatchers are called. */
  eventsAppended(): void
  /** A request changed the user's inbox up to this modseq. Dispatch notifies push nodes in its own transaction. */
  inboxChanged(userId: string, modseq: string | number): void
  /** A comment of this post was edited. Push nodes read the comments that their sockets watch. */
  commentEdited(postId: string): void
  /** The session was revoked or its user deleted. Push nodes close its sockets. */
  sessionRevoked(sessionId: string): void
  /**
   * Calls `listener` when events were appended in this process, after that turn of the event loop. The hint through the
   * database comes too: it is for other processes, and `isOwn` recognises it.
   */
  onEvents(listener: () => void): void
  /** Whether this process sent a hint with this payload on `OUTBOX_CHANNEL`. */
  isOwn(payload: string): boolean
  /** Sends waiting hints and stops. */
  close(): Promise<void>
}

export const INBOX_CHANNEL = 'ravenpost_inbox'
export const SESSION_CHANNEL = 'ravenpost_session'
export const COUNTS_CHANNEL = 'ravenpost_counts'

/** Channel for new events. Workers listen; their dispatch job wakes up or is added. The payload names the sender. */
export const OUTBOX_CHANNEL = 'ravenpost_outbox'

/** Minimum milliseconds between two NOTIFYs of a process, because NOTIFY locks the whole cluster. The first is sent at once. */
const BETWEEN_MS = 4

export function createWakeUps(pool: pg.Pool, log: Logger, enabled: boolean): WakeUps {
  if (!enabled)
    return {
      eventsAppended() {},
      inboxChanged() {},
      commentEdited() {},
      sessionRevoked() {},
      onEvents() {},
      isOwn: () => false,
      async close() {},
    }

  const self = randomUUID()
  let listener: (() => void) | undefined
  const calls = new Pulse(async () => listener?.())
  let events = false
  let inboxes = new Map<string, number>()
  let sessions = new Set<string>()
  let commented = new Set<string>()

  const send = async () => {
    const messages = [
      ...(events ? [[OUTBOX_CHANNEL, self] as const] : []),
      ...encodeChangedInboxes(inboxes).map((payload) => [INBOX_CHANNEL, payload] as const),
      ...encodeChangedContent({ counts: [], comments: [...commented], feeds: false }).map(
        (payload) => [COUNTS_CHANNEL, payload] as const,
      ),
      ...[...sessions].map((id) => [SESSION_CHANNEL, id] as const),
    ]
    if (messages.length === 0) return
    events = false
    inboxes = new Map()
    sessions = new Set()
    commented = new Set()
    sends.pause(BETWEEN_MS)
    const values = [messages.map(([channel]) => channel), messages.map(([, payload]) => payload)]
    await pool
      .query({
        name: 'wake_up',
        text: 'select pg_notify(channel, payload) from unnest($1::text[], $2::text[]) m (channel, payload)',
        values,
      })
      .catch((err) => log.warn({ err }, 'a wake-up was lost; the poll and the sweep find the work'))
  }
  const sends = new Pulse(send)

  return {
    eventsAppended() {
      events = true
      if (listener) calls.request()
      sends.request()
    },
    inboxChanged(userId, modseq) {
      inboxes.set(userId, Math.max(Number(modseq), inboxes.get(userId) ?? 0))
      sends.request()
    },
    commentEdited(postId) {
      commented.add(postId)
      sends.request()
    },
    sessionRevoked(sessionId) {
      sessions.add(sessionId)
      sends.request()
    },
    onEvents(called) {
      listener = called
    },
    isOwn: (payload) => payload === self,
    async close() {
      await calls.close()
      await sends.close()
      await send()
    },
  }
}

/** A NOTIFY payload must stay below 8,000 bytes (PostgreSQL manual, NOTIFY). */
const MAX_PAYLOAD = 7900

/**
 * Packs changed inboxes into NOTIFY payloads: pairs of user id and new modseq in base 36, `u:m,u:m`. Never contains
 * content, because every role can listen. The modseq lets a node skip what it has already sent.
 */
export function encodeChangedInboxes(modseqByUser: Map<string, number>): string[] {
  return pack([...modseqByUser].map(([userId, modseq]) => `${Number(userId).toString(36)}:${modseq.toString(36)}`))
}

/**
 * The content of a hint: posts with changed counts, posts with changed comments, and whether posts appeared or
 * disappeared.
 */
export type ChangedContent = { counts: string[]; comments: string[]; feeds: boolean }

/** Packs changed content into NOTIFY payloads of `9` (counts of post 9), `c9` (its comments) and `f` (feeds). */
export function encodeChangedContent({ counts, comments, feeds }: ChangedContent): string[] {
  return pack([...counts, ...comments.map((id) => `c${id}`), ...(feeds ? ['f'] : [])])
}

export function decodeChangedContent(payload: string): ChangedContent {
  const items = payload.split(',')
  const marked = (mark: RegExp) => items.filter((item) => mark.test(item))
  return { counts: marked(/^\d/), comments: marked(/^c/).map((item) => item.slice(1)), feeds: items.includes('f') }
}

function pack(items: string[]): string[] {
  const payloads: string[] = []
  let payload = ''
  for (const item of items) {
    if (payload.length + item.length + 1 > MAX_PAYLOAD) {
      payloads.push(payload)
      payload = ''
    }
    payload += payload === '' ? item : `,${item}`
  }
  if (payload !== '') payloads.push(payload)
  return payloads
}

/** The pairs of user id and modseq in one payload. Ignores malformed ones, because any database role can NOTIFY on this channel. */
export function decodeChangedInboxes(payload: string): [userId: string, modseq: number][] {
  return payload.split(',').flatMap((pair): [string, number][] => {
    const [user, modseq] = pair.split(':').map((part) => Number.parseInt(part, 36))
    return Number.isSafeInteger(user) && Number.isSafeInteger(modseq) ? [[String(user), Number(modseq)]] : []
  })
}
