import type { Draft, Inbox } from './model.ts'

/** One change of one inbox: the notification and the modseq it was given. */
export type Change = { draft: Draft; inbox: Inbox; modseq: number; born: boolean }

/**
 * Numbers the changes of each inbox without gaps, in the order of these drafts, and moves its counts. What came and went
 * within one batch was never there: it is no change.
 */
export function numberChanges(drafts: Draft[], inboxes: Map<string, Inbox>): Change[] {
  return drafts
    .filter((draft) => draft.changed && (draft.id !== 0 || !draft.removed))
    .flatMap((draft) => numberChange(draft, inboxes.get(draft.userId)))
}

/** Gives a change its modseq and moves the inbox's counts by what the notification stood for before and stands for now. */
function numberChange(draft: Draft, inbox: Inbox | undefined): Change[] {
  if (!inbox) return []
  const born = draft.id === 0
  const [unreadBefore, unseenBefore] = born ? [0, 0] : countsOf(draft, inbox)
  inbox.modseq += 1
  if (born) draft.id = inbox.modseq
  if (draft.grown) draft.grownModseq = inbox.modseq
  const [unread, unseen] = draft.removed ? [0, 0] : countsOf(draft, inbox)
  inbox.unread += unread - unreadBefore
  inbox.unseen += unseen - unseenBefore
  return [{ draft, inbox, modseq: inbox.modseq, born }]
}

function countsOf(draft: Draft, inbox: Inbox): [unread: number, unseen: number] {
  if (draft.archived || draft.filtered) return [0, 0]
  return [draft.read ? 0 : 1, draft.grownModseq > inbox.seenModseq ? 1 : 0]
}

export function inboxesOf(changes: Change[]): Inbox[] {
  return [...new Set(changes.map(({ inbox }) => inbox))]
}
