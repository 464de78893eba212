import { type ReactNode, useActionState, useState } from 'react'
import { explain, Problem } from '../../app/problem.ts'
import { useWords } from '../../app/words/words.tsx'
import { SubmitButton } from '../../ui/button.tsx'
import { Dialog } from '../../ui/dialog.tsx'
import { Field } from '../../ui/field.tsx'
import { Alert } from '../../ui/notes.tsx'

type Password = { currentPassword: string }
type Question = { answer(password: Password): Promise<void>; giveUp(): void }

/** `confirmed` runs a call; when the server requires the password, it asks for it and runs the call again with it. */
export function usePassword(): {
  confirmed<T>(call: (password?: Password) => Promise<T>): Promise<T>
  dialog: ReactNode
} {
  const [question, setQuestion] = useState<Question>()
  const confirmed = async <T,>(call: (password?: Password) => Promise<T>): Promise<T> => {
    try {
      return await call()
    } catch (error) {
      if (!(error instanceof Problem) || error.code !== 'REAUTHENTICATION_REQUIRED') throw error
      return new Promise<T>((resolve, reject) => {
        const answer = async (password: Password) => {
          resolve(await call(password))
          setQuestion(undefined)
        }
        const giveUp = () => {
          reject(error)
          setQuestion(undefined)
        }
        setQuestion({ answer, giveUp })
      })
    }
  }
  return { confirmed, dialog: question && <PasswordDialog {...question} /> }
}

function PasswordDialog({ answer, giveUp }: Question) {
  const words = useWords()
  const [problem, submit] = useActionState<unknown, FormData>(async (_, form) => {
    try {
      await answer({ currentPassword: String(form.get('currentPassword')) })
    } catch (error) {
      return error
    }
  }, undefined)
  return (
    <Dialog title="Confirm with your password" closeLabel={words.app.close} onClose={giveUp}>
      <form action={submit}>
        {problem !== undefined && <Alert>{explain(problem, words)}</Alert>}
        <Field
          label={words.account.currentPassword}
          name="currentPassword"
          type="password"
          autoComplete="current-password"
          required
          autoFocus
        />
        <SubmitButton kind="danger">Confirm</SubmitButton>
      </form>
    </Dialog>
  )
}
