import type { OutboxEvent } from '../outbox/event.ts'
import { counts, withOneMore } from '../rules/cap.ts'
import { type Decision, decide, type FilterReason, isChosen, unchosen, whyFiltered } from '../rules/decide.ts'
import { relationOf } from '../rules/relations.ts'
import type { Channel, NotificationType } from '../types/types.ts'
import { addActor, removeActor } from './actors.ts'
import {
  aboutOf,
  channelsOf,
  dataOf,
  joinWords,
  latestFacts,
  moreUrgent,
  neverWaits,
  priorityOf,
  sentWords,
} from './event-content.ts'
import {
  type Draft,
  emptyDraft,
  type Folded,
  keyOfGroup,
  type Loaded,
  NOBODY,
  type OpenWindow,
  type Source,
} from './model.ts'

/**
 * Folds events, each with a recipient whose inbox is locked, into notifications and sources. Goes by event id, so the
 * result does not depend on the batches. Pure: reads `loaded`, changes only drafts, sources, counts and the sets in it,
 * and returns what it touched.
 */
export function foldEvents(events: OutboxEvent[], loaded: Loaded): Folded {
  const folded = {
    drafts: new Set<Draft>(),
    expiredGroups: new Set([...loaded.openGroups.values()].filter((draft) => draft.expiredGroup)),
    sources: new Set<Source>(),
    windows: new Map<string, OpenWindow>(),
  }
  for (const event of [...events].sort((a, b) => a.id - b.id)) {
    const source = sourceOf(event, loaded)
    if (event.id <= source.eventId) continue
    source.eventId = event.id
    folded.sources.add(source)
    const draft = event.retracts ? retract(source, loaded) : emit(event, source, loaded, folded)
    if (!draft) continue
    draft.requestId = event.requestId
    // A draft that grew moves behind the others that grew.
    if (source.decision === 'shown' || source.decision === 'filtered') folded.drafts.delete(draft)
    folded.drafts.add(draft)
  }
  return {
    drafts: [...folded.drafts],
    expiredGroups: [...folded.expiredGroups],
    sources: [...folded.sources],
    windows: [...folded.windows.values()],
  }
}

type Folding = { expiredGroups: Set<Draft>; windows: Map<string, OpenWindow> }

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
    waitsFor: null,
    waitsFilter: null,
    decision: 'retracted',
    decidedBy: null,
    silent: false,
    known: false,
  }
  sources.set(key, source)
  return source
}

function emit(event: OutboxEvent, source: Source, loaded: Loaded, folding: Folding): Draft | null {
  if (source.live || source.waitsFor !== null) return null
  source.actorId = event.actorId ?? NOBODY // A retraction that arrived first does not know the actor.
  if (loaded.goneEvents.has(event)) {
    source.decision = 'object_gone'
    return null
  }
  if (loaded.expired.has(event.id)) {
    source.decision = 'expired'
    return null
  }
  const { inApp, filterReason, silent } = judgeInApp(event, loaded)
  source.decidedBy = inApp.decidedBy
  source.silent = silent
  if (inApp.decision === 'suppress' && !filterReason) {
    source.decision = 'suppressed'
    return null
  }
  return source.notified ? rejoin(source, loaded) : notify(event, source, loaded, folding, filterReason)
}

type Facts = Pick<Loaded, 'types' | 'inboxes' | 'relations' | 'mutedThreads' | 'preferences'>
type InApp = { inApp: Decision; filterReason: FilterReason | null; silent: boolean }

/**
 * Decides what happens to an event in the app. Stores nothing if `inApp` suppresses it and there is no reason to filter
 * it.
 */
export function judgeInApp(event: OutboxEvent, loaded: Facts): InApp {
  const inApp = decideFor(event, 'inApp', loaded)
  const reachableBy = loaded.inboxes.get(String(event.recipientId))?.reachableBy ?? []
  const filterReason = whyFiltered(inApp, reachableBy, (channel) => decideFor(event, channel, loaded))
  return { inApp, filterReason, silent: inApp.decision === 'allow' && inApp.until !== null }
}

function decideFor(event: OutboxEvent, channel: Channel, loaded: Facts): Decision {
  if (!isChosen(channelsOf(event), channel)) return unchosen
  const userId = String(event.recipientId)
  const type = loaded.types(String(event.type))
  const preferences = loaded.preferences.get(userId)
  return decide(type, channel, relationOf(event, loaded), preferences, priorityOf(event, type) === 'critical')
}

function notify(
  event: OutboxEvent,
  source: Source,
  loaded: Loaded,
  folding: Folding,
  filterReason: FilterReason | null,
): Draft | null {
  const type = loaded.types(String(event.type))
  const { groupKey } = event
  if (groupKey === null) return show(newDraft(event, type, filterReason), event, source, loaded)
  const key = keyOfGroup({ userId: source.userId, groupKey, filterReason })
  const current = loaded.openGroups.get(key)
  const open = current?.open && !current.removed ? current : undefined
  if (gathers(type, event, open, loaded.windows.has(key))) {
    loaded.windows.add(key)
    folding.windows.set(key, { ...aboutOf(event), userId: source.userId, groupKey, filterReason, type })
    source.waitsFor = groupKey
    source.waitsFilter = filterReason
    source.decision = 'waiting'
    return null
  }
  if (open && open.actorCount >= type.maxGroupSize) {
    open.open = false
    if (open.id !== 0) folding.expiredGroups.add(open)
  }
  const draft = open?.open ? open : newDraft(event, type, filterReason)
  loaded.openGroups.set(key, draft)
  return show(draft, event, source, loaded)
}

/**
 * True if a person waits for the window. The first people of a group are shown singly; later ones, and all while others wait,
 * wait too.
 */
function gathers(type: NotificationType, event: OutboxEvent, open: Draft | undefined, gathering: boolean): boolean {
  if (type.windowSeconds === 0 || neverWaits(event) || priorityOf(event, type) === 'critical') return false
  return gathering || (open?.actorCount ?? 0) >= type.instantThreshold
}

function show(draft: Draft, event: OutboxEvent, source: Source, loaded: Loaded): Draft {
  addActor(draft, source, loaded)
  draft.grown = true
  draft.data = event.action === 'send' ? dataOf(event) : latestFacts(draft.data, dataOf(event))
  if (event.action === 'send') {
    draft.priority = moreUrgent(draft.priority, priorityOf(event, loaded.types(draft.type)))
    draft.sent = joinWords(sentWords(event), draft.sent)
  }
  draft.silent = source.silent && (draft.silent || !draft.ownPreferences)
  draft.ownPreferences ??= loaded.preferences.get(source.userId)
  if (!source.silent && draft.filterReason !== 'strangers') count(event, draft.type, loaded)
  source.notified = true
  source.decision = draft.filtered ? 'filtered' : 'shown'
  return draft
}

/** Called after each event, so that later events find the same state whatever the batches are. */
function count(event: OutboxEvent, typeName: string, { types, preferences }: Loaded): void {
  const userId = String(event.recipientId)
  const ownPreferences = preferences.get(userId)
  const type = types(typeName)
  if (ownPreferences && counts(ownPreferences, type, priorityOf(event, type) === 'critical'))
    preferences.set(userId, withOneMore(ownPreferences, type.type))
}

/** Shows a retracted source again. It joins its group silently while the group is open. */
function rejoin(source: Source, loaded: Loaded): Draft | null {
  const draft = source.draft
  if (!draft?.open || draft.removed) {
    source.decision = 'stale_group'
    return null
  }
  addActor(draft, source, loaded)
  source.decision = 'rejoined'
  return draft
}

function retract(source: Source, loaded: Loaded): Draft | null {
  source.decision = 'retracted'
  source.waitsFor = null
  const draft = source.draft
  if (!source.live || !draft) return null
  source.live = false
  if (draft.removed) return null
  removeActor(draft, source, loaded.types)
  return draft
}

function newDraft(event: OutboxEvent, type: NotificationType, filterReason: FilterReason | null): Draft {
  return {
    ...emptyDraft(String(event.recipientId), type.type, aboutOf(event), event.groupKey, filterReason),
    priority: priorityOf(event, type),
    channels: channelsOf(event),
  }
}
