import { type TSchema, Type } from '@sinclair/typebox'
import { Sql } from '../../http/shown-sql/reader.ts'
import { Id } from '../../protocol/id.ts'

const text = Type.String()
const number = Type.Number()
const integer = Type.Integer()
const boolean = Type.Boolean()
const time = Type.String({ format: 'date-time' })
const nullable = (schema: TSchema) => Type.Union([schema, Type.Null()])

/** The columns of each statement, as its rows come. Seconds and bytes are in the names. */
export const rowsOf = {
  lanes: Type.Object({
    consumer: text,
    lane: integer,
    critical: boolean,
    events: number,
    oldestAt: nullable(time),
    ageSeconds: nullable(number),
    movedAt: time,
    failingSince: nullable(time),
    lastError: nullable(text),
    pausedAt: nullable(time),
  }),
  jobs: Type.Object({
    task: text,
    state: text,
    jobs: number,
    oldestRunAt: time,
    mostAttempts: integer,
    anError: nullable(text),
  }),
  workers: Type.Object({
    role: text,
    host: text,
    pid: integer,
    startedAt: time,
    beatAt: time,
    silentSeconds: number,
    workerIds: Type.Array(text),
    jobsLocked: integer,
    memoryBytes: nullable(number),
    figures: Type.Record(text, number),
  }),
  pending: Type.Object({
    id: Id,
    consumer: text,
    eventId: text,
    recipientId: nullable(text),
    sourceId: nullable(text),
    attempts: integer,
    dueAt: time,
    lastError: nullable(text),
    createdAt: time,
  }),
  deliveries: Type.Object({
    userId: text,
    notificationId: nullable(text),
    channel: text,
    state: text,
    reason: nullable(text),
    attempts: integer,
    lastError: nullable(text),
    queuedAt: time,
    dueAt: nullable(time),
    updatedAt: time,
  }),
  webhooks: Type.Object({
    id: Id,
    host: nullable(text),
    events: Type.Array(text),
    state: text,
    disabledBecause: nullable(text),
    failingSince: nullable(time),
    failures: integer,
    pausedUntil: nullable(time),
    lastError: nullable(text),
    waiting: number,
    oldestSeconds: nullable(number),
    sending: number,
  }),
  breakers: Type.Object({
    role: text,
    process: text,
    name: text,
    state: text,
    secondsUntilTrial: nullable(number),
    seenAt: time,
  }),
  settings: Type.Object({ role: nullable(text), name: text, value: nullable(text), setBy: text, writtenAt: time }),
  advice: Type.Object({
    setting: text,
    value: nullable(text),
    advised: nullable(text),
    reason: text,
    statement: nullable(text),
  }),
  history: Type.Object({ at: time, events: number }),
  invariants: Type.Object({
    name: text,
    title: text,
    checked: number,
    holds: boolean,
    rows: Type.Array(Type.Record(text, Type.Unknown())),
  }),
  timeline: Type.Object({
    at: time,
    what: text,
    notificationId: nullable(text),
    type: nullable(text),
    sourceId: nullable(text),
    reason: nullable(text),
  }),
  explain: Type.Object({
    type: text,
    channel: text,
    decision: text,
    decidedBy: text,
    reason: nullable(text),
    until: nullable(time),
  }),
  users: Type.Object({
    id: Id,
    username: text,
    displayName: text,
    externalId: nullable(text),
    role: text,
    createdAt: time,
  }),
  tables: Type.Object({
    name: text,
    comment: nullable(text),
    rows: number,
    estimated: boolean,
    bytes: number,
    timeColumn: nullable(text),
    lastFiveMinutes: nullable(number),
    recentEstimated: nullable(boolean),
  }),
}

const Process = Type.Object({
  id: text,
  role: text,
  host: text,
  pid: integer,
  startedAt: text,
  beatAt: text,
  silentSeconds: number,
  memoryBytes: number,
  figures: Type.Record(text, number),
})

export const System = Type.Object({
  at: time,
  epoch: text,
  lastEventId: nullable(text),
  unreadEvents: number,
  oldestUnreadSeconds: number,
  failingLanes: integer,
  pausedLanes: integer,
  pendingEvents: integer,
  deadLetters: integer,
  lastDeadLetter: nullable(text),
  windows: integer,
  failingWindows: integer,
  overdueWindows: integer,
  overdueDeliveries: integer,
  overdueFanOuts: integer,
  failingWebhooks: integer,
  notificationsEstimate: number,
  usersEstimate: number,
  notifyQueueUsage: number,
  processes: Type.Array(Process),
  sql: Sql,
})

export const Badge = Type.Object({
  userId: Id,
  username: text,
  modseq: text,
  seenModseq: text,
  ackedModseq: text,
  floorModseq: text,
  unreadCount: integer,
  unreadRecounted: integer,
  unseenCount: integer,
  unseenRecounted: integer,
  windows: integer,
  waiting: integer,
  hasPreferences: boolean,
  reachableBy: Type.Array(text),
  sql: Sql,
})

/** The answer of a read that is a list. */
export const listOf = (row: TSchema) => Type.Object({ items: Type.Array(row), sql: Sql })
