import type { Preferences } from '../preferences/document.ts'
import type { Channel, NotificationType } from '../types/types.ts'
import { cappedUntil, type Sounded } from './cap.ts'

/** Rules in the order of evaluation. The first one that applies decides. */
export type Rule =
  | 'sender'
  | 'self'
  | 'block'
  | 'mute'
  | 'threadMute'
  | 'strangers'
  | 'critical'
  | 'typePreference'
  | 'channelPreference'
  | 'typeDefault'
  | 'digest'
  | 'dnd'
  | 'snooze'
  | 'cap'

export type Decision = {
  decision: 'allow' | 'suppress' | 'defer'
  decidedBy: Rule
  /** Reason for users who ask why. */
  reason: string
  /** End of the quiet period that led to the decision. */
  until: Date | null
  /** The policy for strangers hides it from the inbox. It appears in the list of filtered notifications. */
  filtered: boolean
}

/** Relation of the recipient to the actor and the thread. */
export type Relation = {
  self: boolean
  /** True if the recipient or the actor blocks the other. */
  blocked: boolean
  muted: boolean
  threadMuted: boolean
  /** True if the recipient follows the actor. */
  followed: boolean
}

export type UserPreferences = {
  document: Preferences
  /** End of the current quiet hours, from notify.quiet_until. Null outside quiet hours. */
  dndUntil: Date | null
  snoozeUntil: Date | null
  /** Time of the next digest, from notify.digest_at. Null if it is due, or if there is none. */
  digestAt: Date | null
  /** Notifications that count for a cap, newest first. */
  recent: Sounded[]
  /** True if `recent` has entries that are not stored yet. */
  hasCounted?: boolean
  /** Time of the decision. */
  at: Date
}

/** Preferences of a user who has stored none. */
export const noPreferences: UserPreferences = {
  document: {},
  dndUntil: null,
  snoozeUntil: null,
  digestAt: null,
  recent: [],
  at: new Date(0),
}

/**
 * Decides whether a notification is delivered on a channel, and by which rule. Pure. From `critical` on, equals the SQL
 * function notify.explain, which does not know the actor; a test compares both on generated documents.
 */
export function decide(
  type: NotificationType,
  channel: Channel,
  relation: Relation | null,
  ownPreferences: UserPreferences | undefined,
  critical = type.priority === 'critical',
): Decision {
  const preferences = ownPreferences ?? noPreferences
  return (
    (relation && decideByRelation(relation, preferences.document)) ??
    (critical ? allow('critical', 'critical notifications ignore preferences') : undefined) ??
    decideByPreferences(type, channel, preferences)
  )
}

/** True if the sender of a broadcast chose the channel; null: all channels. */
export function isChosen(channels: Channel[] | null, channel: Channel): boolean {
  return channels === null || channels.includes(channel)
}

export const unchosen: Decision = suppress('sender', 'the sender did not choose this channel')

/** Reason for hiding a notification from the app: the policy for strangers, or the user wants it on another channel only. */
export type FilterReason = 'strangers' | 'otherChannels'

/**
 * The reason for filtering, or null. A notification that the app does not show is stored if another channel wants it
 * and reaches the user.
 */
export function whyFiltered(
  inApp: Decision,
  reachableBy: Channel[],
  decideOn: (channel: Channel) => Decision,
): FilterReason | null {
  if (inApp.decision !== 'suppress') return null
  if (inApp.filtered) return 'strangers'
  return reachableBy.some((channel) => decideOn(channel).decision !== 'suppress') ? 'otherChannels' : null
}

function decideByRelation(relation: Relation, { policy }: Preferences): Decision | null {
  if (relation.self) return suppress('self', 'nobody is notified of their own doing')
  if (relation.blocked) return suppress('block', 'one of the two blocks the other')
  if (relation.muted) return suppress('mute', 'the user muted who did it')
  if (relation.threadMuted) return suppress('threadMute', 'the user muted the thread')
  if (relation.followed) return null
  if (policy?.strangers === 'drop') return suppress('strangers', 'the user wants nothing from strangers')
  if (policy?.strangers === 'filter')
    return { ...suppress('strangers', 'the user keeps strangers in a list of their own'), filtered: true }
  return null
}

function decideByPreferences(type: NotificationType, channel: Channel, ownPreferences: UserPreferences): Decision {
  const { document, dndUntil, snoozeUntil, digestAt } = ownPreferences
  const ofType = document.types?.[type.type]?.[channel]
  const ofChannel = document.channels?.[channel] ?? true
  const byDefault = type.channels.includes(channel)
  const wantedBy = ofType !== undefined ? 'typePreference' : ofChannel ? 'typeDefault' : 'channelPreference'
  if (!(ofType ?? (ofChannel && byDefault))) return suppress(wantedBy, unwanted[wantedBy])
  const now = allow(wantedBy, wanted[wantedBy])
  if (type.dnd === 'ignore') return now
  if (channel === 'email' && document.digest)
    return digestAt ? defer('digest', 'kept for the digest of the user', digestAt) : now
  const quietUntil = latest(dndUntil, snoozeUntil)
  if (quietUntil) return keepQuiet(type, channel, quietUntil === snoozeUntil ? 'snooze' : 'dnd', quietUntil)
  const until = cappedUntil(ownPreferences, type.type)
  if (!until) return now
  if (channel === 'inApp') return { ...allow('cap', `${tooMany}: shown silently`), until }
  return defer('cap', `${tooMany}: gathered`, until)
}

const tooMany = 'more than the user wants at a time'

function keepQuiet(type: NotificationType, channel: Channel, by: 'snooze' | 'dnd', until: Date): Decision {
  if (channel === 'inApp') return { ...allow(by, 'the user wants quiet: shown silently'), until }
  if (type.dnd === 'defer') return defer(by, 'the user wants quiet: kept until later', until)
  return { ...suppress(by, 'the user wants quiet'), until }
}

const unwanted = {
  typePreference: 'the user switched this type off for this channel',
  channelPreference: 'the user switched this channel off',
  typeDefault: 'this channel is off by default for this type',
}

const wanted = {
  typePreference: 'the user switched this type on for this channel',
  channelPreference: '',
  typeDefault: 'this channel is on by default for this type',
}

/** If both end at the same time, the snooze wins. */
function latest(dnd: Date | null, snooze: Date | null): Date | null {
  if (!dnd || !snooze) return dnd ?? snooze
  return snooze >= dnd ? snooze : dnd
}

function allow(decidedBy: Rule, reason: string): Decision {
  return { decision: 'allow', decidedBy, reason, until: null, filtered: false }
}

function suppress(decidedBy: Rule, reason: string): Decision {
  return { decision: 'suppress', decidedBy, reason, until: null, filtered: false }
}

function defer(decidedBy: Rule, reason: string, until: Date): Decision {
  return { decision: 'defer', decidedBy, reason, until, filtered: false }
}
