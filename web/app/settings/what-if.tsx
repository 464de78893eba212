import { useQuery } from '@tanstack/react-query'
import type { Preferences } from 'ravenpost-client'
import { Dialog } from '../../ui/dialog.tsx'
import { Alert, Loading } from '../../ui/notes.tsx'
import { useApi } from '../device.tsx'
import { kindOf } from '../notifications/text.tsx'
import { explain } from '../problem.ts'
import { useWords } from '../words/words.tsx'
import styles from './settings.module.css'

/** Shows how a preference document would have decided the notifications of the last days. */
export function WhatIfDialog({ preferences, onClose }: { preferences: Preferences; onClose(): void }) {
  const words = useWords()
  const { settings, app, notifications } = words
  const api = useApi()
  const { data, error } = useQuery({
    queryKey: ['what-if', preferences],
    queryFn: () => api.whatIf(preferences),
    gcTime: 0,
  })
  const channels: Record<string, string | undefined> = notifications.channels
  const decisions: Record<string, string | undefined> = notifications.decisions
  const counts = (outcome: Record<string, number | undefined> = {}) =>
    Object.entries(outcome)
      .filter(([, count]) => count)
      .map(([decision, count]) => `${count} ${decisions[decision] ?? decision}`)
      .join(', ') || '0'
  const rows = Object.entries(data?.types ?? {}).flatMap(([kind, perChannel]) =>
    Object.entries(perChannel)
      .filter(([, { before, after }]) => JSON.stringify(before) !== JSON.stringify(after))
      .map(([channel, { before, after }]) => ({ kind, channel, before: counts(before), after: counts(after) })),
  )
  return (
    <Dialog title={settings.whatIfTitle} closeLabel={app.close} onClose={onClose}>
      {error && <Alert>{explain(error, words)}</Alert>}
      {!data && !error && <Loading label={app.loading} />}
      {data && (
        <p>
          <strong>{data.differs ? settings.whatIfDiffers(data.differs) : settings.whatIfNone}</strong>
        </p>
      )}
      <ul className={styles.whatif}>
        {rows.map(({ kind, channel, before, after }) => (
          <li key={`${kind}${channel}`}>
            <span>
              {kindOf(kind, words)} · {channels[channel] ?? channel}
            </span>
            <span>
              {settings.before}: {before} → {settings.after}: <strong>{after}</strong>
            </span>
          </li>
        ))}
      </ul>
    </Dialog>
  )
}
