import { useQuery } from '@tanstack/react-query'
import type { Preferences } from 'ravenpost-client'
import { Dialog } from '../../ui/dialog.tsx'
import { Alert, Loading } from '../../ui/notes.tsx'
import { useApi } from '../device.tsx'
import { kindOf } from '../notifications/text.tsx'
import { explain } from '../problem.ts'
import { useWords } from '../words/words.tsx'
import { type Difference, differencesOf } from './differences.ts'
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
  const counts = (outcome: Difference['before']) =>
    Object.entries(outcome)
      .filter(([, count]) => count)
      .map(([decision, count]) => `${count} ${decisions[decision] ?? decision}`)
      .join(', ') || '0'
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
        {differencesOf(data).map(({ type, channel, before, after }) => (
          <li key={`${type}${channel}`}>
            <span>
              {kindOf(type, words)} · {channels[channel] ?? channel}
            </span>
            <span>
              {settings.before}: {counts(before)} → {settings.after}: <strong>{counts(after)}</strong>
            </span>
          </li>
        ))}
      </ul>
    </Dialog>
  )
}
