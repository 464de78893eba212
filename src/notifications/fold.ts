import type { OutboxEvent } from '../outbox/event.ts'

/** A user's inbox as it stood when its row was locked. */
export type Inbox = { userId: string; modseq: number; unread: number; unseen: number; seenModseq: number }

/** A notification while events are folded into it: the stored row, or one that is not stored yet (`id` 0). */
export type Draft = {
  userId: string
  id: number
  grownModseq: number
  type: string
  groupKey: string | null
  threadKey: string | null
  objectType: string | null
  objectId: string | null
  data: Record<string, unknown>
  actorIds: string[]
  actorCount: number
  /** Of the newest event folded in now; null when it had none, or when nothing was folded in. */
  requestId: string | null
  /** Live sources per actor, for the actors this batch speaks of. */
  liveSources: Map<string, number>
  read: boolean
  archived: boolean
  filtered: boolean
  /** The group may still take events: not read, archived or 24 hours old. */
  open: boolean
  /** Found 24 hours old: to be closed before its successor is made. */
  expiredGroup: boolean
  changed: boolean
  grown: boolean
  removed: boolean
  /** An actor left and fewer than three of the known latest ones remain: to be looked up again. */
  actorsIncomplete: boolean
}

/** One row of notify.sources while events are folded into it. */
export type Source = {
  userId: string
  sourceId: string
  eventId: number
  draft: Draft | null
  /** Id of the stored notification it had a part in, when that is gone already. */
  goneNotificationId: number | null
  actorId: string
  live: boolean
  notified: boolean
  decision: string
}

/** What a batch needs to know, read under the inbox locks. Keys are joined by a space: `user source`, `user group`, `user actor`. */
export type Loaded = {
  sources: Map<string, Source>
  openGroups: Map<string, Draft>
  blocked: Set<string>
  goneObjects: Set<string>
}

export type Folded = {
  /** Touched notifications. Those that grew in the order in which they last did, since lists sort by the number of that change. */
  drafts: Draft[]
  /** Groups found 24 hours old, to be closed before their successors are made. */
  expiredGroups: Draft[]
  sources: Source[]
}

/** Latest actors kept with a notification: three are shown, the others stand by for retractions. */
export const ACTORS_KEPT = 8
const ACTORS_SHOWN = 3

/** An actor id that is nobody: a send without actor. */
export const NOBODY = '0'

/**
 * Folds events, each with a recipient whose inbox is locked, into notifications and sources. One by one in the order of
 * their ids, so that the result does not depend on how they fell into batches. Pure: reads `loaded`, changes only drafts and
 * sources in it, and returns those that were touched.
 */
export function foldEvents(events: OutboxEvent[], loaded: Loaded): Folded {
  const expiredGroups = [...loaded.openGroups.values()].filter((draft) => draft.expiredGroup)
  const touched = new Set<Draft>()
  const sources = new Set<Source>()
  for (const event of [...events].sort((a, b) => a.id - b.id)) {
    const source = sourceOf(event, loaded)
    if (event.id <= source.eventId) continue
    source.eventId = event.id
    sources.add(source)
    const draft = event.retracts ? retract(source) : emit(event, source, loaded)
    if (!draft) continue
    draft.requestId = event.requestId
    if (source.decision === 'shown') touched.delete(draft) // it grew, and goes behind the others that did
    touched.add(draft)
  }
  return { drafts: [...touched], expiredGroups, sources: [...sources] }
}

function sourceOf(event: OutboxEvent, { sources }: Loaded): Source {
  const key = `${event.recipientId} ${event.sourceId}`
  const known = sources.get(key)
  if (known) return known
  const source: Source = {
    userId: String(event.recipientId),
    sourceId: event.sourceId,
    eventId: 0,
    draft: null,
    goneNotificationId: null,
    actorId: event.actorId ?? NOBODY,
    live: false,
    notified: false,
    decision: 'retracted',
  }
  sources.set(key, source)
  return source
}

function emit(event: OutboxEvent, source: Source, loaded: Loaded): Draft | null {
  if (source.live) return null
  const refusal = refuse(event, loaded)
  if (refusal) {
    source.decision = refusal
    return null
  }
  return source.notified ? rejoin(source) : notify(event, source, loaded)
}

/** The rules that keep an event from its recipient; null when none does. */
function refuse(event: OutboxEvent, { blocked, goneObjects }: Loaded): string | null {
  if (objectsOf(event).some((object) => goneObjects.has(object))) return 'object_gone'
  if (blocked.has(`${event.recipientId} ${event.actorId}`)) return 'blocked'
  return null
}

/** The posts and comments an event speaks of, as `post:9`: when one of them is deleted nobody is told any more. */
export function objectsOf(event: OutboxEvent): string[] {
  if (event.action === 'send' || event.action === 'follow') return []
  const { postId, commentId, parentId } = event.data
  return [
    ...(typeof postId === 'string' ? [`post:${postId}`] : []),
    ...(typeof commentId === 'string' ? [`comment:${commentId}`] : []),
    ...(typeof parentId === 'string' && event.objectType === 'comment' && event.objectId === parentId
      ? [`comment:${parentId}`]
      : []),
  ]
}

function notify(event: OutboxEvent, source: Source, loaded: Loaded): Draft {
  const groupKey = event.groupKey && `${event.recipientId} ${event.groupKey}`
  const current = groupKey ? loaded.openGroups.get(groupKey) : undefined
  const draft = current?.open && !current.removed ? current : newDraft(event)
  if (groupKey) loaded.openGroups.set(groupKey, draft)
  addActor(draft, source)
  draft.grown = true
  draft.data = event.data
  source.notified = true
  source.decision = 'shown'
  return draft
}

/** A source that was shown before, retracted, and comes again: it joins its group silently while that is open. */
function rejoin(source: Source): Draft | null {
  const draft = source.draft
  if (!draft?.open || draft.removed) {
    source.decision = 'stale_group'
    return null
  }
  addActor(draft, source)
  source.decision = 'rejoined'
  return draft
}

function retract(source: Source): Draft | null {
  source.decision = 'retracted'
  const draft = source.draft
  if (!source.live || !draft) return null
  source.live = false
  if (draft.removed) return null
  removeActor(draft, source)
  return draft
}

function addActor(draft: Draft, source: Source): void {
  const before = draft.liveSources.get(source.actorId) ?? 0
  draft.liveSources.set(source.actorId, before + 1)
  if (source.actorId !== NOBODY) {
    if (before === 0) draft.actorCount += 1
    draft.actorIds = [source.actorId, ...draft.actorIds.filter((id) => id !== source.actorId)].slice(0, ACTORS_KEPT)
  }
  source.draft = draft
  source.live = true
  draft.changed = true
}

function removeActor(draft: Draft, source: Source): void {
  const left = (draft.liveSources.get(source.actorId) ?? 1) - 1
  draft.liveSources.set(source.actorId, left)
  draft.changed = true
  if (source.actorId !== NOBODY && left === 0) {
    draft.actorCount -= 1
    draft.actorIds = draft.actorIds.filter((id) => id !== source.actorId)
    draft.actorsIncomplete ||= draft.actorIds.length < Math.min(ACTORS_SHOWN, draft.actorCount)
  }
  if (source.sourceId === `comment:${draft.data.commentId}`) {
    const { commentId: _, ...data } = draft.data
    draft.data = data
  }
  draft.removed = draft.actorCount === 0 && (draft.liveSources.get(NOBODY) ?? 0) === 0
}

function newDraft(event: OutboxEvent): Draft {
  return {
    userId: String(event.recipientId),
    id: 0,
    grownModseq: 0,
    type: String(event.type),
    groupKey: event.groupKey,
    threadKey: event.threadKey,
    objectType: event.objectType,
    objectId: event.objectId,
    data: event.data,
    actorIds: [],
    actorCount: 0,
    requestId: null,
    liveSources: new Map(),
    read: false,
    archived: false,
    filtered: false,
    open: true,
    expiredGroup: false,
    changed: true,
    grown: true,
    removed: false,
    actorsIncomplete: false,
  }
}
