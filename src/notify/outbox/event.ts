import { type Static, Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { EventContentError } from '../../base/failure.ts'

const NullableText = Type.Union([Type.String(), Type.Null()])

/**
 * A row of notify.outbox as its consumers see it. User ids are decimal strings. `id` orders two events about one thing.
 */
export const OutboxEvent = Type.Object({
  id: Type.Integer({ minimum: 0 }),
  action: Type.String(),
  retracts: Type.Boolean(),
  counted: Type.Boolean(),
  sourceId: Type.String(),
  type: NullableText,
  recipientId: NullableText,
  actorId: NullableText,
  objectType: NullableText,
  objectId: NullableText,
  threadKey: NullableText,
  groupKey: NullableText,
  data: Type.Record(Type.String(), Type.Unknown()),
  requestId: NullableText,
})
export type OutboxEvent = Static<typeof OutboxEvent>

/** The columns of an event with the names of the type above, for queries on `notify.outbox o`. */
export const eventColumns = `o.id::float8 as id, o.action, o.retracts, o.counted, o.source_id as "sourceId", o.type,
  o.recipient_id as "recipientId", o.actor_id as "actorId", o.object_type as "objectType", o.object_id as "objectId",
  o.thread_key as "threadKey", o.group_key as "groupKey", o.data, o.request_id as "requestId"`

/** The same event as one JSON object: the copy that `notify.pending` keeps. */
export const eventAsJson = `jsonb_build_object('id', o.id, 'action', o.action, 'retracts', o.retracts, 'counted', o.counted,
  'sourceId', o.source_id, 'type', o.type, 'recipientId', o.recipient_id::text, 'actorId', o.actor_id::text,
  'objectType', o.object_type, 'objectId', o.object_id, 'threadKey', o.thread_key, 'groupKey', o.group_key,
  'data', o.data, 'requestId', o.request_id)`

/** An event that retracts a source, for code that retracts without the log. */
export function retractionOf(recipientId: string, sourceId: string, id: number): OutboxEvent {
  const nothing = { type: null, actorId: null, objectType: null, objectId: null, threadKey: null, groupKey: null }
  return {
    ...nothing,
    id,
    action: 'retract',
    retracts: true,
    counted: false,
    sourceId,
    recipientId,
    data: {},
    requestId: null,
  }
}

const checkEvent = TypeCompiler.Compile(OutboxEvent)

/**
 * Parses a pending copy of an event.
 * @throws {EventContentError} when it is not an event
 */
export function parseEvent(copy: unknown): OutboxEvent {
  if (checkEvent.Check(copy)) return copy
  const first = checkEvent.Errors(copy).First()
  throw new EventContentError(`the stored event is malformed at ${first?.path || '/'}: ${first?.message}`)
}
