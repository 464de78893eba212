import { useMutation } from '@tanstack/react-query'
import { useState } from 'react'
import { Button } from '../../ui/button.tsx'
import { Alert } from '../../ui/notes.tsx'
import { explain } from '../problem.ts'
import { useWords } from '../words/words.tsx'
import styles from './post.module.css'

type EditFormProps = { body: string; longest: number; save(body: string): Promise<void>; done(): void }

/** Edits the text of a post or comment. `longest`: maximum length. `done`: called after saving, or to cancel. */
export function EditForm({ body: before, longest, save, done }: EditFormProps) {
  const words = useWords()
  const [body, setBody] = useState(before)
  const saving = useMutation({ mutationFn: () => save(body.trim()), onSuccess: done })
  return (
    <form
      className={styles.reply}
      onSubmit={(event) => {
        event.preventDefault()
        saving.mutate()
      }}
    >
      <textarea
        // biome-ignore lint/a11y/noAutofocus: the person has just asked to edit
        autoFocus
        aria-label={words.post.edit}
        value={body}
        maxLength={longest}
        onChange={(event) => setBody(event.target.value)}
        onKeyDown={(event) => event.key === 'Escape' && done()}
      />
      {saving.isError && <Alert>{explain(saving.error, words)}</Alert>}
      <div className={styles.actions}>
        <Button onClick={done}>{words.app.cancel}</Button>
        <Button kind="primary" type="submit" busy={saving.isPending} disabled={body.trim() === '' || saving.isPending}>
          {words.app.save}
        </Button>
      </div>
    </form>
  )
}
