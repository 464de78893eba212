import { type Static, Type } from '@sinclair/typebox'
import type pg from 'pg'
import { inSnapshot } from '../../db/long-reads.ts'
import { decisionsOnChannels } from '../channels/queue.ts'
import { listOf } from '../dispatch/fast-path.ts'
import { judgeInApp } from '../dispatch/fold.ts'
import type { Inbox } from '../dispatch/model.ts'
import { inboxColumns } from '../dispatch/objects.ts'
import { inboxOf } from '../inbox/lock.ts'
import { preferencesOf, readRelations } from '../rules/relations.ts'
import type { TypeLookup } from '../types/types.ts'
import type { CompileAudience } from './audience.ts'
import { type Broadcast, eventOf } from './broadcast.ts'
import { nextMembers, type Part } from './sending/members.ts'

const count = Type.Integer({ minimum: 0 })
const counts = (description: string, examples: Record<string, number>) =>
  Type.Record(Type.String(), count, { description, examples: [examples] })
const Channel = Type.Object({
  queued: Type.Integer({ description: 'Would be sent' }),
  deferred: Type.Integer({ description: 'Would be sent after quiet hours' }),
  suppressed: counts('By the rule that decides', { channelPreference: 2 }),
  unreachable: Type.Integer({ description: 'Without a verified address, or without a browser' }),
})

export const DryRun = Type.Object({
  total: Type.Integer({ description: 'Recipients' }),
  shown: Type.Integer({ description: 'With toast and sound' }),
  silent: Type.Integer({ description: 'Shown without toast and sound' }),
  filtered: counts('Stored, but not in the app, by reason', { strangers: 1 }),
  suppressed: counts('Nothing stored, by the rule that decides', { typePreference: 3 }),
  noChannel: Type.Integer({ description: 'Not shown, and no mail or push either' }),
  channels: Type.Object({ email: Channel, webPush: Channel }),
  ms: Type.Number({ description: 'Time that it took' }),
})
export type DryRun = Static<typeof DryRun>

const PAGE = 5000
const everybody: Part = { zones: null, unzoned: false, rest: false, expiresAt: null }

/** Timeout of a statement, below the limit of the whole dry run. */
const PAGE_TIMEOUT_MS = 25_000

/**
 * Predicts the result of sending the broadcast now, with the functions that dispatch uses, in one snapshot and page by
 * page. Writes nothing.
 */
export function dryRun(
  client: pg.ClientBase,
  compile: CompileAudience,
  types: TypeLookup,
  broadcast: Broadcast,
): Promise<DryRun> {
  const startedAt = performance.now()
  return inSnapshot(client, PAGE_TIMEOUT_MS, async () => {
    const found = newDryRun()
    for (let after: string | null = '0'; after !== null; ) {
      const page = await nextMembers(client, asRule(compile), {
        broadcastId: broadcast.id,
        // The recipients of a query are only listed when the broadcast starts, so the query runs here.
        audience: 'sql' in broadcast.audience ? { rule: broadcast.audience } : broadcast.audience,
        part: everybody,
        after,
        shards: [0, 31],
        limit: PAGE,
      })
      for (const group of page.groups) await judge(client, types, broadcast, listOf(group), found)
      after = page.last
    }
    found.ms = Math.round(performance.now() - startedAt)
    return found
  })
}

const asRule =
  (compile: CompileAudience): CompileAudience =>
  (audience, values) => {
    const isQuery =
      'rule' in audience && typeof audience.rule === 'object' && audience.rule !== null && 'sql' in audience.rule
    return compile(isQuery ? { sql: String((audience.rule as { sql: unknown }).sql) } : audience, values)
  }

function newDryRun(): DryRun {
  const channel = () => ({ queued: 0, deferred: 0, suppressed: {}, unreachable: 0 })
  return {
    ...{ total: 0, shown: 0, silent: 0, filtered: {}, suppressed: {}, noChannel: 0 },
    channels: { email: channel(), webPush: channel() },
    ms: 0,
  }
}

async function judge(
  client: pg.ClientBase,
  types: TypeLookup,
  broadcast: Broadcast,
  users: string[],
  found: DryRun,
): Promise<void> {
  const events = users.map((recipientId) => ({ ...eventOf(broadcast, null, null), recipientId }))
  const inboxes = await readInboxes(client, users)
  const outspoken = users.filter((userId) => inboxes.get(userId)?.hasPreferences)
  const [relations, preferences] = [await readRelations(client, events), await preferencesOf(client, outspoken)]
  const loaded = { types, inboxes, ...relations, preferences }
  for (const event of events) {
    const inbox = inboxes.get(event.recipientId)
    if (!inbox) continue
    found.total += 1
    const { inApp, filterReason, silent } = judgeInApp(event, loaded)
    const isStored = inApp.decision !== 'suppress' || filterReason !== null
    if (!isStored) countOne(found.suppressed, inApp.decidedBy)
    else if (filterReason) countOne(found.filtered, filterReason)
    else if (silent) found.silent += 1
    else found.shown += 1
    const isSent = isStored && filterReason !== 'strangers'
    const sent = countChannels(found, types, broadcast, isSent, inbox, preferences.get(event.recipientId))
    if ((!isStored || filterReason !== null) && sent === 0) found.noChannel += 1
  }
}

function countChannels(
  found: DryRun,
  types: TypeLookup,
  broadcast: Broadcast,
  isSent: boolean,
  inbox: Inbox,
  ownPreferences: Parameters<typeof decisionsOnChannels>[2],
): number {
  const { content, channels } = broadcast
  const type = types(content.type)
  const critical = (broadcast.priority ?? type.priority) === 'critical'
  const decisions = isSent ? decisionsOnChannels({ type, critical, channels }, inbox, ownPreferences) : []
  for (const channel of ['email', 'webPush'] as const)
    if (!inbox.reachableBy.includes(channel)) found.channels[channel].unreachable += 1
  let sent = 0
  for (const { channel, decision, decidedBy } of decisions) {
    if (channel === 'inApp') continue
    const of = found.channels[channel]
    if (decision === 'suppress') countOne(of.suppressed, decidedBy)
    else {
      of[decision === 'defer' ? 'deferred' : 'queued'] += 1
      sent += 1
    }
  }
  return sent
}

function countOne(counts: Record<string, number>, what: string): void {
  counts[what] = (counts[what] ?? 0) + 1
}

async function readInboxes(client: pg.ClientBase, users: string[]): Promise<Map<string, Inbox>> {
  const { rows } = await client.query<Inbox>({
    name: 'inboxes_of_dry_run',
    text: `select ${inboxColumns}, false as "hasTakers"
           from unnest($1::bigint[]) w (id) cross join ${inboxOf('w.id')}`,
    values: [users],
  })
  return new Map(rows.map((row) => [row.userId, row]))
}
