import type { Priority } from '../../protocol/notification.ts'
import type { OutboxEvent } from '../outbox/event.ts'
import type { FilterReason, Relation, UserPreferences } from '../rules/decide.ts'
import type { Channel, NotificationType, TypeLookup } from '../types/types.ts'

/** A user's inbox as read under its row lock. */
export type Inbox = {
  userId: string
  /** Address of the locked version of its row. */
  version: string
  modseq: number
  unread: number
  unseen: number
  seenModseq: number
  /** Time of the last growth in milliseconds since 1970. The next notification that grows gets a later one. */
  grownAt: number
  hasPreferences: boolean
  reachableBy: Channel[]
  /** True if a webhook subscribes to changes of notifications. Equal for all inboxes. */
  hasTakers: boolean
}

/** A notification while events are folded into it: the stored row, or one that is not stored yet (`id` 0). */
export type Draft = {
  userId: string
  id: number
  grownModseq: number
  /** Time at which it grew in this batch, in milliseconds since 1970; 0 if it did not grow. */
  grownAt: number
  type: string
  priority: Priority
  groupKey: string | null
  threadKey: string | null
  objectType: string | null
  objectId: string | null
  data: Record<string, unknown>
  sent: SentWords
  /** Channels to which the sender restricts the notification; null: all. Known while its event is dispatched. */
  channels: Channel[] | null
  /** People whom the recipient follows come first; within both parts, the latest actor first. */
  actorIds: string[]
  /** Number of leading `actorIds` whom the recipient follows. */
  followedActors: number
  actorCount: number
  /** Request id of the newest event folded in this batch. Null if that event has none, or if no event was folded in. */
  requestId: string | null
  /** Live sources per actor, for the actors of this batch. */
  liveSources: Map<string, number>
  read: boolean
  archived: boolean
  filtered: boolean
  filterReason: FilterReason | null
  silent: boolean
  /** The recipient's preferences when it first grew in this transaction, before it was counted. */
  ownPreferences: UserPreferences | undefined
  /** True if the group accepts events: it is not read, not archived and less than 24 hours old. */
  open: boolean
  /** True if the group is 24 hours old. It is closed before its successor is made. */
  expiredGroup: boolean
  changed: boolean
  grown: boolean
  removed: boolean
  /** An actor left and fewer than three of the known latest ones remain, so they must be looked up again. */
  actorsIncomplete: boolean
  /** The latest comment was retracted, so the latest remaining one must be looked up. */
  commentUnknown: boolean
}

/** Texts of a direct send. Null if the texts come from the type. */
export type SentWords = {
  title: string | null
  body: string | null
  url: string | null
  severity: string | null
  expiresAt: string | null
}

/** A group that gathers: shown all at once when its window is due. */
export type OpenWindow = {
  userId: string
  groupKey: string
  filterReason: FilterReason | null
  type: NotificationType
  objectType: string | null
  objectId: string | null
  threadKey: string | null
  data: Record<string, unknown>
}

/** One row of notify.sources while events are folded into it. */
export type Source = {
  userId: string
  sourceId: string
  eventId: number
  draft: Draft | null
  /** Id of the source's stored notification when that no longer exists. */
  goneNotificationId: number | null
  actorId: string
  live: boolean
  notified: boolean
  /** Key of the group whose window the source waits for. */
  waitsFor: string | null
  waitsFilter: FilterReason | null
  decision: string
  decidedBy: string | null
  silent: boolean
  /** Its row existed when the batch was read. */
  known: boolean
}

/**
 * What a batch needs, read under the inbox locks. Keys are joined by a space: `user source`, `user actor`, `user
 * thread`; groups by `keyOfGroup`.
 */
export type Loaded = {
  types: TypeLookup
  inboxes: Map<string, Inbox>
  sources: Map<string, Source>
  openGroups: Map<string, Draft>
  /** Keys of groups with an open window. */
  windows: Set<string>
  relations: Map<string, Omit<Relation, 'self' | 'threadMuted'>>
  mutedThreads: Set<string>
  preferences: Map<string, UserPreferences>
  /** Events whose object was deleted. */
  goneEvents: Set<OutboxEvent>
  /** Ids of events whose expiry has passed. */
  expired: Set<number>
}

export type Folded = {
  /**
   * Touched notifications. Those that grew are in the order of their last growth, because lists sort by the number of
   * that change.
   */
  drafts: Draft[]
  /** Groups that are 24 hours old or full. They are closed before their successors are made. */
  expiredGroups: Draft[]
  sources: Source[]
  /** Windows to which this batch adds sources, each with its latest event. */
  windows: OpenWindow[]
}

/** Key of an open group in `Loaded`. Filtered notifications are grouped apart, by reason. */
export function keyOfGroup({
  userId,
  groupKey,
  filterReason,
}: Pick<OpenWindow, 'userId' | 'groupKey' | 'filterReason'>): string {
  return `${userId} ${filterReason ?? 'none'} ${groupKey}`
}

export const noWords: SentWords = { title: null, body: null, url: null, severity: null, expiresAt: null }

/** A notification that is not stored yet and has no actors. */
export function emptyDraft(
  userId: string,
  type: string,
  about: Pick<Draft, 'objectType' | 'objectId' | 'threadKey' | 'data'>,
  groupKey: string | null,
  filterReason: FilterReason | null,
): Draft {
  return {
    ...about,
    userId,
    id: 0,
    grownModseq: 0,
    grownAt: 0,
    type,
    priority: 'normal',
    groupKey,
    sent: noWords,
    channels: null,
    actorIds: [],
    followedActors: 0,
    actorCount: 0,
    requestId: null,
    liveSources: new Map(),
    read: false,
    archived: false,
    filtered: filterReason !== null,
    filterReason,
    silent: false,
    ownPreferences: undefined,
    open: true,
    expiredGroup: false,
    changed: true,
    grown: true,
    removed: false,
    actorsIncomplete: false,
    commentUnknown: false,
  }
}

/** Actor id of a send without an actor. */
export const NOBODY = '0'
