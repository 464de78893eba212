import type { Static, TObject } from '@sinclair/typebox'
import { type TypeCheck, TypeCompiler } from '@sinclair/typebox/compiler'
import { EventContentError } from '../base/failure.ts'
import type { OutboxEvent } from './outbox/event.ts'

/** Counters of posts, comments and users, in lock order: by table, then by id. */
export const counters = [
  { table: 'posts', column: 'like_count' },
  { table: 'posts', column: 'comment_count' },
  { table: 'comments', column: 'reply_count' },
  { table: 'users', column: 'follower_count' },
  { table: 'users', column: 'following_count' },
  { table: 'users', column: 'post_count' },
] as const
export type Counter = (typeof counters)[number]['column']

/** A key of a post or a comment, such as `post:9`. */
export type ObjectKey = `post:${string}` | `comment:${string}`

/** SQL expressions for the columns of an event. They apply to the rows that a statement wrote or deleted. */
export type EventColumns = {
  sourceId: string
  type: string
  recipientId: string
  actorId: string
  objectType: string
  objectId: string
  threadKey: string
  groupKey: string
  data: string
}

/** Describes one kind of social action for the whole pipeline. */
export type Action = {
  /** `action` in notify.outbox. */
  name: string
  columns: EventColumns
  /**
   * Counters that a counted event moves, each with the id of its row. An action increments them, a retraction
   * decrements them.
   * @throws {EventContentError} when the event lacks a fact
   */
  counters(event: OutboxEvent): [Counter, string][]
  /**
   * Objects that must exist when the notification is written. After one is deleted, nobody is notified.
   * @throws {EventContentError} when the event lacks a fact
   */
  objects(event: OutboxEvent): ObjectKey[]
}

type Description<Data extends TObject> = {
  name: string
  columns: EventColumns
  /** Schema of the event's data. */
  data: Data
  counters(data: Static<Data>, event: OutboxEvent): [Counter, string | null][]
  objects(data: Static<Data>, event: OutboxEvent): ObjectKey[]
}

/** Makes an action. Its functions receive the event's data after the check against the schema. */
export function defineAction<Data extends TObject>(description: Description<Data>): Action {
  const { name, columns, data } = description
  const check = TypeCompiler.Compile(data)
  return {
    name,
    columns,
    counters: (event) =>
      description.counters(factsOf(event, check), event).map(([counter, id]) => [counter, idOf(event, id)]),
    objects: (event) => description.objects(factsOf(event, check), event),
  }
}

function factsOf<Data extends TObject>(event: OutboxEvent, check: TypeCheck<Data>): Static<Data> {
  const { data } = event
  if (check.Check(data)) return data
  const fault = check.Errors(data).First()
  throw new EventContentError(`event ${event.id} (${event.sourceId}): data${fault?.path} ${fault?.message}`)
}

function idOf(event: OutboxEvent, id: string | null): string {
  if (id !== null) return id
  throw new EventContentError(`event ${event.id} (${event.sourceId}) does not name the row it counts on`)
}

/** Actions by name. Other events, such as sends, move no counters and have no objects. */
export class Actions {
  readonly #byName: Map<string, Action>

  constructor(actions: Action[]) {
    this.#byName = new Map(actions.map((action) => [action.name, action]))
  }

  countersOf(event: OutboxEvent): [Counter, string][] {
    return this.#byName.get(event.action)?.counters(event) ?? []
  }

  objectsOf(event: OutboxEvent): ObjectKey[] {
    return this.#byName.get(event.action)?.objects(event) ?? []
  }
}
