import type { Queryable } from '../../db/client.ts'
import type { Priority } from '../../protocol/notification.ts'
import type { OutboxEvent } from '../outbox/event.ts'
import { type TranslatedWords, wordsFor } from '../templates/message.ts'
import type { Channel } from '../types/types.ts'
import type { Audience } from './audience.ts'

export const states = ['draft', 'scheduled', 'running', 'paused', 'finished', 'cancelled', 'recalled'] as const
export type State = (typeof states)[number]

/** Content for all recipients, rendered when the broadcast was saved. */
export type Content = TranslatedWords & {
  type: string
  severity: string | null
  actorId: string | null
  data: Record<string, unknown>
}

/** A row of notify.broadcasts, without its progress. */
export type Broadcast = {
  id: string
  name: string
  state: State
  templateId: string | null
  templateVersion: number | null
  segmentId: string | null
  audience: Audience
  content: Content
  priority: Priority | null
  /** Channels to use. Null: all that the type and the user want. */
  channels: Channel[] | null
  sendAt: Date | null
  /** Local time at which each recipient gets it, instead of `sendAt`: `2026-03-29T09:00:00`. */
  wallTime: string | null
  perSecond: number | null
  /** Seconds from sending to expiry. */
  expiresIn: number | null
  /** Id of its events. Null: not sent yet. */
  eventId: number | null
  lastError: string | null
  requestId: string | null
  createdBy: string
  createdAt: Date
  startedAt: Date | null
  finishedAt: Date | null
  recalledAt: Date | null
  recallFinishedAt: Date | null
}

const broadcastColumns = `b.id, b.name, b.state, b.template_id as "templateId", b.template_version as "templateVersion",
  b.segment_id as "segmentId", b.audience, b.content, b.priority, b.channels, b.send_at as "sendAt",
  to_char(b.wall_time, 'YYYY-MM-DD"T"HH24:MI:SS') as "wallTime", b.per_second as "perSecond", b.expires_in as "expiresIn",
  b.event_id::float8 as "eventId", b.last_error as "lastError", b.request_id as "requestId", b.created_by as "createdBy",
  b.created_at as "createdAt", b.started_at as "startedAt", b.finished_at as "finishedAt", b.recalled_at as "recalledAt",
  b.recall_finished_at as "recallFinishedAt"`

/** Finds a broadcast. Undefined when it does not exist. `lock`: locks the row until the transaction ends. */
export async function findBroadcast(db: Queryable, id: string, { lock = false } = {}): Promise<Broadcast | undefined> {
  const { rows } = await db.query<Broadcast>(
    `select ${broadcastColumns} from notify.broadcasts b where b.id = $1 ${lock ? 'for no key update' : ''}`,
    [id],
  )
  return rows[0]
}

/** The source of its notifications. With it, nobody gets the broadcast twice. */
export const sourceOf = ({ id }: Pick<Broadcast, 'id'>) => `broadcast:${id}`
/** The thread key of its notifications, by which a recall finds them. */
export const threadOf = sourceOf

/**
 * The event for recipients with this locale, in the form of a send without recipient. `expiresAt` null: as the type
 * defines.
 */
export function eventOf(broadcast: Broadcast, locale: string | null, expiresAt: string | null): OutboxEvent {
  const { content, priority, channels, eventId, requestId } = broadcast
  const { title, body } = wordsFor(content, locale)
  const given = { body, url: content.url, severity: content.severity, priority, channels, expiresAt }
  return {
    id: eventId ?? 0,
    action: 'send',
    retracts: false,
    counted: false,
    sourceId: sourceOf(broadcast),
    type: content.type,
    recipientId: null,
    actorId: content.actorId,
    objectType: null,
    objectId: null,
    threadKey: threadOf(broadcast),
    groupKey: null,
    data: {
      ...Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null)),
      title,
      data: content.data,
    },
    requestId,
  }
}
