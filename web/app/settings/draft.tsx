import type { Preferences } from 'ravenpost-client'
import { usePreferences } from 'ravenpost-client/react'
import { type ReactNode, useState } from 'react'
import { Button } from '../../ui/button.tsx'
import { Alert } from '../../ui/notes.tsx'
import { explain } from '../problem.ts'
import { useWords } from '../words/words.tsx'
import styles from './settings.module.css'

/** The preference document being edited. Nothing is sent before it is saved. */
export function useDraft() {
  const { preferences, effective, status, error, save } = usePreferences()
  const [draft, setDraft] = useState<Preferences | undefined>(undefined)
  const shown = draft ?? preferences
  const changed = draft !== undefined && JSON.stringify(draft) !== JSON.stringify(preferences)
  return {
    shown,
    effective,
    status,
    error,
    changed,
    change: (change: Partial<Preferences>) => shown && setDraft({ ...shown, ...change }),
    discard: () => setDraft(undefined),
    save: async () => {
      if (draft === undefined) return
      await save(draft)
      setDraft(undefined)
    },
  }
}
export type Draft = ReturnType<typeof useDraft>

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
