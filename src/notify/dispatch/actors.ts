import type { NotificationType } from '../types/types.ts'
import { factsWith } from './event-content.ts'
import { type Draft, type Loaded, NOBODY, type Source } from './model.ts'

/** Latest actors kept with a notification. Three are shown; the others replace retracted ones. */
export const ACTORS_KEPT = 8
const ACTORS_SHOWN = 3

export function addActor(draft: Draft, source: Source, loaded: Loaded): void {
  const before = draft.liveSources.get(source.actorId) ?? 0
  draft.liveSources.set(source.actorId, before + 1)
  if (source.actorId !== NOBODY) {
    if (before === 0) draft.actorCount += 1
    const followed = loaded.relations.get(`${source.userId} ${source.actorId}`)?.followed ?? false
    putInFront(draft, source.actorId, followed)
    rank(draft, loaded.types(draft.type))
  }
  source.draft = draft
  source.live = true
  draft.changed = true
}

/** Puts people whom the recipient follows before strangers. */
function putInFront(draft: Draft, actorId: string, followed: boolean): void {
  forget(draft, actorId)
  const place = followed ? 0 : draft.followedActors
  draft.actorIds = draft.actorIds.toSpliced(place, 0, actorId).slice(0, ACTORS_KEPT)
  if (followed) draft.followedActors = Math.min(draft.followedActors + 1, ACTORS_KEPT)
}

export function forget(draft: Draft, actorId: string): void {
  const place = draft.actorIds.indexOf(actorId)
  if (place === -1) return
  draft.actorIds = draft.actorIds.toSpliced(place, 1)
  if (place < draft.followedActors) draft.followedActors -= 1
}

/** Sets the priority of a group: the higher one if the recipient follows an actor, otherwise that of the type. */
export function rank(draft: Draft, type: NotificationType): void {
  if (type.followedPriority !== type.priority)
    draft.priority = draft.followedActors > 0 ? type.followedPriority : type.priority
}

export function removeActor(draft: Draft, source: Pick<Source, 'actorId' | 'sourceId'>, types: Loaded['types']): void {
  const left = (draft.liveSources.get(source.actorId) ?? 1) - 1
  draft.liveSources.set(source.actorId, left)
  draft.changed = true
  if (source.actorId !== NOBODY && left === 0) {
    draft.actorCount -= 1
    forget(draft, source.actorId)
    rank(draft, types(draft.type))
    draft.actorsIncomplete ||= draft.actorIds.length < Math.min(ACTORS_SHOWN, draft.actorCount)
  }
  if (source.sourceId === `comment:${draft.data.commentId}`) forgetComment(draft)
  draft.removed = draft.actorCount === 0 && (draft.liveSources.get(NOBODY) ?? 0) === 0
}

/** Marks the latest comment of the group as retracted. The next latest is looked up when the sources are stored. */
export function forgetComment(draft: Draft): void {
  draft.data = factsWith(draft, null)
  draft.commentUnknown = true
  draft.changed = true
}
