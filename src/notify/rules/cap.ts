import type pg from 'pg'
import { columns } from '../../db/columns.ts'
import type { Cap, Preferences } from '../preferences/document.ts'
import type { NotificationType } from '../types/types.ts'
import type { UserPreferences } from './decide.ts'

/** A notification that was shown with a sound. `at`: RFC 3339. */
export type Sounded = { type: string; at: string }

type Counted = Pick<UserPreferences, 'document' | 'recent' | 'at'>

/** End of the time in which a notification of this type exceeds a cap. The same as the SQL function notify.capped_until. */
export function cappedUntil({ document, recent, at }: Counted, type: string): Date | null {
  const ends = capsOf(document, type).flatMap(({ atMost, seconds, of }) => {
    const last = recent.filter((sounded) => of === null || sounded.type === of)[atMost - 1]
    return last ? [Date.parse(last.at) + seconds * 1000] : []
  })
  const end = Math.max(...ends)
  return end > at.getTime() ? new Date(end) : null
}

/** True if the notification counts for a cap when it makes a sound. Types that ignore quiet hours ignore caps too. */
export function counts(
  ownPreferences: UserPreferences | undefined,
  { type, dnd }: NotificationType,
  critical: boolean,
): boolean {
  return (
    ownPreferences !== undefined && !critical && dnd !== 'ignore' && capsOf(ownPreferences.document, type).length > 0
  )
}

/** Returns the preferences with one more notification that made a sound. Drops entries that no cap counts any longer. */
export function withOneMore(ownPreferences: UserPreferences, type: string): UserPreferences {
  const { document, at } = ownPreferences
  const recent = [{ type, at: at.toISOString() }, ...ownPreferences.recent]
  const kept = new Set(
    [null, ...Object.keys(document.types ?? {})].flatMap((name) => {
      const cap = name === null ? document.cap : document.types?.[name]?.cap
      if (!cap) return []
      const since = at.getTime() - cap.seconds * 1000
      return recent
        .filter((sounded) => (name === null || sounded.type === name) && Date.parse(sounded.at) > since)
        .slice(0, cap.atMost)
    }),
  )
  return { ...ownPreferences, recent: recent.filter((sounded) => kept.has(sounded)), hasCounted: true }
}

/** Stores the counts of this transaction. Requires locked inboxes. Users without a cap cost no statement. */
export async function storeCounted(client: pg.ClientBase, preferences: Map<string, UserPreferences>): Promise<void> {
  const counted = [...preferences].filter(([, { hasCounted }]) => hasCounted)
  if (counted.length === 0) return
  await client.query({
    name: 'store_counted',
    text: `update notify.preferences p set recent = w.recent
           from ${stored.from}
           where p.user_id = w.user_id and p.user_id = any($1::bigint[])`,
    values: stored.values(counted),
  })
}

const stored = columns<[userId: string, ownPreferences: UserPreferences]>({
  user_id: ['bigint', ([userId]) => userId],
  recent: ['jsonb', ([, { recent }]) => JSON.stringify(recent)],
})

/** `of`: the type, or null for all types together. */
function capsOf({ cap, types }: Preferences, type: string): (Cap & { of: string | null })[] {
  const ofType = types?.[type]?.cap
  return [...(cap ? [{ ...cap, of: null }] : []), ...(ofType ? [{ ...ofType, of: type }] : [])]
}
