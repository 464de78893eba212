import type { Preferences } from 'ravenpost-client'
import { usePreferences } from 'ravenpost-client/react'
import { type ReactNode, useState } from 'react'
import { Button } from '../../ui/button.tsx'
import { Alert, Loading } from '../../ui/notes.tsx'
import { explain } from '../problem.ts'
import { useWords } from '../words/words.tsx'
import styles from './settings.module.css'

/** The preference document being edited. Nothing is sent before it is saved. */
export function useDraft() {
  const { preferences, effective, status, error, save, reload } = usePreferences()
  const [draft, setDraft] = useState<Preferences | undefined>(undefined)
  const shown = draft ?? preferences
  const changed = draft !== undefined && JSON.stringify(draft) !== JSON.stringify(preferences)
  return {
    shown,
    effective,
    status,
    error,
    reload,
    changed,
    change: (change: Partial<Preferences>) => shown && setDraft({ ...shown, ...change }),
    discard: () => setDraft(undefined),
    save: async () => {
      if (draft === undefined) return
      await save(draft)
      // Changes made while it was being saved stay.
      setDraft((latest) => (latest === draft ? undefined : latest))
    },
  }
}
export type Draft = ReturnType<typeof useDraft>

/** In place of the settings until they are read. */
export function NotRead({ error, retry }: { error: unknown; retry(): unknown }) {
  const words = useWords()
  if (!error) return <Loading label={words.app.loading} />
  return (
    <Alert>
      {explain(error, words)}
      <Button onClick={() => void retry()}>{words.app.retry}</Button>
    </Alert>
  )
}

/** Bar that stays visible while there are unsaved changes. `children` come before the buttons. */
export function SaveBar({ draft, children }: { draft: Draft; children?: ReactNode }) {
  const words = useWords()
  const { settings, app } = words
  const [saved, setSaved] = useState(false)
  const problem = draft.error && <Alert>{explain(draft.error, words)}</Alert>
  if (!draft.changed)
    return saved && !problem ? (
      <p role="status" className={styles.hint}>
        {app.saved}
      </p>
    ) : (
      problem
    )
  const save = () =>
    draft.save().then(
      () => setSaved(true),
      // The draft stays, and `draft.error` is shown.
      () => undefined,
    )
  return (
    <div className={styles.savebar}>
      {problem}
      <span>{settings.unsaved}</span>
      {children}
      <Button onClick={draft.discard}>{settings.discard}</Button>
      <Button kind="primary" busy={draft.status === 'saving'} onClick={() => void save()}>
        {app.save}
      </Button>
    </div>
  )
}
