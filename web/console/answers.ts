// Made by `npm run client-types` from the schemas of the server; not edited by hand.

import type { Notification } from 'ravenpost-client'
import type { User } from '../app/answers.ts'

export type Sql = {
  /** GET /admin/sql/:name has the text */
  name: string
  /** $1, $2 and so on */
  parameters: (string | number | boolean | null)[]
  milliseconds: number
  rows: number
}

export type Process = {
  id: string
  role: string
  host: string
  pid: number
  startedAt: string
  beatAt: string
  silentSeconds: number
  memoryBytes: number
  figures: Record<string, number>
}

export type System = {
  at: string
  epoch: string
  lastEventId: string | null
  unreadEvents: number
  oldestUnreadSeconds: number
  failingLanes: number
  pausedLanes: number
  pendingEvents: number
  deadLetters: number
  lastDeadLetter: string | null
  windows: number
  failingWindows: number
  overdueWindows: number
  overdueDeliveries: number
  overdueFanOuts: number
  failingWebhooks: number
  notificationsEstimate: number
  usersEstimate: number
  notifyQueueUsage: number
  processes: Process[]
  sql: Sql
}

export type Worker = {
  role: string
  host: string
  pid: number
  startedAt: string
  beatAt: string
  silentSeconds: number
  workerIds: string[]
  jobsLocked: number
  memoryBytes: number | null
  figures: Record<string, number>
}

export type Advice = {
  setting: string
  value: string | null
  advised: string | null
  reason: string
  statement: string | null
}

export type Setting = {
  role: string | null
  name: string
  value: string | null
  setBy: string
  writtenAt: string
}

export type Table = {
  name: string
  comment: string | null
  rows: number
  estimated: boolean
  bytes: number
  timeColumn: string | null
  lastFiveMinutes: number | null
  recentEstimated: boolean | null
}

export type Column = {
  name: string
  /** As PostgreSQL names it */
  type: string
  comment: string | null
  /** What people wrote or can be reached by: left out unless revealed */
  private: boolean
  /** False: private and not revealed, or a secret that the console cannot read */
  shown: boolean
  /** Part of the primary key */
  key: boolean
  /** First column of an index */
  searchable: boolean
  /** schema.table.column that it refers to */
  references: string | null
}

export type TablePage = {
  columns: Column[]
  items: (Record<string, unknown>)[]
  nextCursor: string | null
  /** Newest rows of a large table: from its last 4 MB */
  estimated: boolean
  sql: {
    /** GET /admin/sql/:name has the text */
    name: string
    /** $1, $2 and so on */
    parameters: (string | number | boolean | null)[]
    milliseconds: number
    rows: number
    text: string
  }
}

export type Invariant = {
  name: string
  title: string
  checked: number
  holds: boolean
  rows: (Record<string, unknown>)[]
}

export type FoundUser = {
  /** Decimal id, opaque to clients */
  id: string
  username: string
  displayName: string
  externalId: string | null
  role: string
  createdAt: string
}

export type Badge = {
  /** Decimal id, opaque to clients */
  userId: string
  username: string
  modseq: string
  seenModseq: string
  ackedModseq: string
  floorModseq: string
  unreadCount: number
  unreadRecounted: number
  unseenCount: number
  unseenRecounted: number
  windows: number
  waiting: number
  hasPreferences: boolean
  reachableBy: string[]
  sql: Sql
}

export type Line = {
  at: string
  what: string
  notificationId: string | null
  type: string | null
  sourceId: string | null
  reason: string | null
}

export type Decision = {
  type: string
  channel: string
  decision: string
  decidedBy: string
  reason: string | null
  until: string | null
}

export type WhyNotStep = {
  /** inbox, event, dispatch, decision, notification, device, email or webPush */
  step: string
  result: 'ok' | 'waits' | 'stops'
  reason: string
  at: string | null
  /** Stored source id; several senders can use the same name */
  source: string
}

export type Step = {
  at: string
  /** sent, event, decision, created, grew, stored, pushed, acknowledged, filtered, read, archived, removed, email or webPush */
  step: string
  /** Who sent it: a service, a user or a database role; action and type of an event; decision and rule; state of a message */
  detail: string | null
  /** The event in the log */
  eventId: string | null
  /** Its name, which holds the ids of the row: like:<post>:<user> */
  sourceId: string | null
  /** The request that wrote it */
  requestId: string | null
  /** State of the inbox: of the change, of the frame, of the acknowledgement */
  modseq: string | null
  /** Sign-in sessions whose sockets were sent the frame */
  sessions: string[] | null
}

export type Trace = {
  /** Decimal id, opaque to clients */
  userId: string
  /** Decimal id, opaque to clients */
  notificationId: string
  steps: Step[]
  sql: Sql
  /** Null unless revealed */
  content: {
    /** As sent; null: rendered from the type */
    title: string | null
    /** As sent; null: rendered from the type */
    body: string | null
    /** As sent; null: rendered from the type */
    url: string | null
    data: unknown
  } | null
}

export type TracedEvent = {
  /** Decimal id, opaque to clients */
  eventId: string
  at: string
  action: string
  retracts: boolean
  /** Type of the notification */
  type: string | null
  sourceId: string
  /** Who acted */
  actorId: string | null
  /** Null: nobody is notified */
  recipientId: string | null
  /** Null: not decided yet, or no recipient */
  decision: string | null
  /** The rule that decided */
  decidedBy: string | null
  /** For GET /admin/trace/{userId}/{notificationId} */
  notificationId: string | null
}

export type TracedRequest = {
  events: TracedEvent[]
  looked: {
    /** Events looked at, newest first */
    events: number
    backTo: string | null
  }
  /** Cursor for events further back in the log; null: there are no more */
  nextCursor: string | null
  sql: Sql
}

export type AuditEntry = {
  /** Without gaps, in the order of the commits */
  id: string
  at: string
  /** user:<id>, token:<id>, or role:<name> of the database */
  actor: string
  action: string
  /** Kind and id, for example webhook:7 */
  target: string | null
  /** The changed part before the change */
  before: unknown
  /** The changed part after the change, or the request */
  after: unknown
  /** x-request-id of the call */
  requestId: string | null
  /** IP address of the caller */
  address: string | null
  databaseRole: string
  /** application_name of the database session */
  application: string
  /** SHA-256 in hexadecimal digits, over this row and the hash of the one before */
  hash: string
}

export type DeadLetter = {
  /** Decimal id, opaque to clients */
  id: string
  consumer: string
  eventId: string
  recipientId: string | null
  sourceId: string | null
  type: string | null
  attempts: number
  /** The class of the error and the form of its message */
  cause: string
  lastError: string | null
  createdAt: string
  deadAt: string
  /** The event; its data, which is what people wrote, only when revealed */
  event: unknown
}

export type Cause = {
  /** As listed by GET /admin/dead-letters/causes */
  cause: string
  count: number
  /** The newest of them, for POST /admin/dead-letters/replay */
  upTo: string
  oldestAt: string
  newestAt: string
  anError: string | null
}

export type Replayed = {
  /** waits: another transaction holds the inbox or the object right now */
  outcome: 'applies' | 'fails' | 'waits'
  /** Why it fails */
  error: string | null
  /** As in notify.sources: shown, waiting, suppressed, filtered, retracted, …; null: no recipient */
  decision: string | null
  /** The rule that decides */
  decidedBy: string | null
  /** The notification that it makes or changes */
  notificationId: string | null
  before: {
    unreadCount: number
    unseenCount: number
  } | null
  after: {
    unreadCount: number
    unseenCount: number
  } | null
  /** Channels besides the app for which a message is queued */
  channels: string[]
}

export type Template = {
  /** Decimal id, opaque to clients */
  id: string
  name: string
  /** Grows with each change; former versions are kept */
  version: number
  type: string
  /** ICU message over the variables */
  title: string
  /** ICU message over the variables */
  body: string | null
  /** ICU message over the variables */
  url: string | null
  variables: Record<string, {
    /** date: an RFC 3339 time, shown in UTC */
    type: 'string' | 'number' | 'boolean' | 'date'
    /** A variable that is not needs a default */
    required?: boolean
    default?: string | number | boolean
  }>
  /** By BCP 47 tag; each has a title, and a body where the template has one */
  translations: Record<string, {
    /** ICU message over the variables */
    title: string
    /** ICU message over the variables */
    body?: string | null
  }>
  createdAt: string
  updatedAt: string
}

export type Preview = {
  /** Null: the default language */
  locale: string | null
  inApp: Notification
  email: {
    subject: string
    text: string
    html: string
  }
  push: {
    id: string
    state: string
    unreadCount: number
    tag: string
    close: string[]
    type: string
    priority: string
    title: string
    body: string | null
    url: string | null
    silent: boolean
  }
  /** Of the user; without one, those for somebody without preferences who can be reached everywhere */
  decisions: {
    channel: 'inApp' | 'email' | 'webPush'
    decision: 'allow' | 'suppress' | 'defer'
    decidedBy: string
    reason: string
    until: string | null
    /** Whether the channel reaches the user: a verified address, a browser */
    reachable: boolean
  }[]
}

export type TemplateText = {
  /** ICU message over the variables */
  title: string
  /** system, or a name with a dot that belongs to no social action */
  type?: string
  /** ICU message over the variables */
  body?: string | null
  /** ICU message over the variables */
  url?: string | null
  variables?: Record<string, {
    /** date: an RFC 3339 time, shown in UTC */
    type: 'string' | 'number' | 'boolean' | 'date'
    /** A variable that is not needs a default */
    required?: boolean
    default?: string | number | boolean
  }>
  /** By BCP 47 tag; each has a title, and a body where the template has one */
  translations?: Record<string, {
    /** ICU message over the variables */
    title: string
    /** ICU message over the variables */
    body?: string | null
  }>
}

export type Segment = {
  /** Decimal id, opaque to clients */
  id: string
  name: string
  rule: {
    /** Rules that all apply */
    all?: {
      [more: string]: unknown
    }[]
    /** Rules of which at least one applies */
    any?: {
      [more: string]: unknown
    }[]
    /** A rule */
    not?: {
      [more: string]: unknown
    }
    role?: string
    createdAfter?: string
    createdBefore?: string
    /** Seconds since the user last used a session, at most */
    activeWithin?: number
    /** Seconds since the user last used a session, at least */
    inactiveFor?: number
    /** Follows this user */
    follows?: string
    /** Is followed by this user */
    followedBy?: string
    /** Subscribes to the posts of this user */
    subscribedTo?: string
    hasChannel?: string
    /** A language with its regions: de is also de-AT */
    locale?: string
    ids?: string[]
    externalIds?: string[]
  } | null
  sql: string | null
  createdAt: string
  updatedAt: string
}

export type Estimate = {
  /** Users of the segment */
  count: number
  /** false: counting took too long, and the count is what the planner expects */
  exact: boolean
  sample: User[]
  /** Time that it took */
  ms: number
}

export type Broadcast = {
  /** Decimal id, opaque to clients */
  id: string
  name: string
  state: 'draft' | 'scheduled' | 'running' | 'paused' | 'finished' | 'cancelled' | 'recalled'
  templateId: string | null
  templateVersion: number | null
  segmentId: string | null
  /** everyone, rule or sql: a copy, which later changes of the segment leave alone */
  audience: Record<string, unknown>
  content: {
    type: string
    title: string
    body: string | null
    url: string | null
    severity: string | null
    actorId: string | null
    data: Record<string, unknown>
    translations: Record<string, {
      title: string
      body: string | null
    }>
  }
  priority: string | null
  channels: string[] | null
  /** Without an offset where timeZone is recipient; null: at once */
  sendAt: string | null
  timeZone: 'recipient' | null
  perSecond: number | null
  expiresIn: number | null
  /** Why it was cancelled by itself */
  lastError: string | null
  /** Decimal id, opaque to clients */
  createdBy: string
  createdAt: string
  startedAt: string | null
  finishedAt: string | null
  recalledAt: string | null
  /** Null: inboxes are left from which it is retracted */
  recallFinishedAt: string | null
}

export type Progress = {
  /** Recipients, counted at the beginning and again at the end; null: not begun, or too many to count in time */
  total: number | null
  /** Recipients processed so far */
  done: number
  /** Shown in the inbox, silently too */
  stored: number
  /** Stored, but not in the app: for another channel only, or from a stranger */
  filtered: number
  /** Unwanted by a rule or preference, or expired */
  suppressed: number
  /** Their inbox was held; they follow within seconds */
  waiting: number
  /** Dead letters */
  failed: number
  /** Inboxes from which it was retracted */
  recalled: number
  /** Sent to a device, of those still in inboxes */
  pushed: number
  /** Received by a device, of those still in inboxes */
  acknowledged: number
  /** Read, of those still in inboxes */
  read: number
  /** Recipients per second since it began or was resumed; null: not running */
  rate: number | null
  /** Expected end */
  eta: string | null
  /** Time at which pushed, acknowledged and read were counted; null: the first count is under way */
  countedAt: string | null
}

export type BroadcastWithProgress = Broadcast & {
  progress: Progress
  sql: {
    broadcast: Sql
    reached: Sql
  }
}

export type DryRun = {
  /** Recipients */
  total: number
  /** With toast and sound */
  shown: number
  /** Shown without toast and sound */
  silent: number
  /** Stored, but not in the app, by reason */
  filtered: Record<string, number>
  /** Nothing stored, by the rule that decides */
  suppressed: Record<string, number>
  /** Not shown, and no mail or push either */
  noChannel: number
  channels: {
    email: {
      /** Would be sent */
      queued: number
      /** Would be sent after quiet hours */
      deferred: number
      /** By the rule that decides */
      suppressed: Record<string, number>
      /** Without a verified address, or without a browser */
      unreachable: number
    }
    webPush: {
      /** Would be sent */
      queued: number
      /** Would be sent after quiet hours */
      deferred: number
      /** By the rule that decides */
      suppressed: Record<string, number>
      /** Without a verified address, or without a browser */
      unreachable: number
    }
  }
  /** Time that it took */
  ms: number
}

export type Recipient = {
  /** Decimal id, opaque to clients */
  userId: string
  externalId: string | null
  username: string | null
  /** As in notify.sources: shown, filtered, suppressed, retracted, … */
  decision: string
  decidedBy: string | null
  decidedAt: string
  notificationId: string | null
  deliveredAt: string | null
  readAt: string | null
  email: string | null
  webPush: string | null
}

export type NotificationType = {
  type: string
  priority: 'critical' | 'high' | 'normal' | 'low'
  /** Priority when the recipient follows the actor; null: same as priority */
  followedPriority: 'critical' | 'high' | 'normal' | 'low' | null
  severity: 'info' | 'success' | 'warning' | 'error'
  /** Whether the channel is on by default */
  channels: ('inApp' | 'email' | 'webPush')[]
  /** Actors shown one by one before grouping starts */
  instantThreshold: number
  /** 0: notifications are never grouped */
  windowSeconds: number
  /** Random share by which windows are lengthened or shortened */
  jitter: number
  maxGroupSize: number
  retentionSeconds: number
  dnd: 'defer' | 'silent' | 'ignore'
  /** ICU message */
  title: string | null
  /** ICU message */
  body: string | null
  /** ICU message */
  url: string | null
  /** ICU message */
  fallback: string | null
  /** Templates in other languages, by BCP 47 tag; a text that a locale lacks is taken from its language, then from the English texts above */
  words: Record<string, {
    /** ICU message */
    title?: string
    /** ICU message */
    body?: string
    /** ICU message */
    fallback?: string
  }>
  updatedAt: string
}
