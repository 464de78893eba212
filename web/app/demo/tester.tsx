import { useMutation } from '@tanstack/react-query'
import { Button } from '../../ui/button.tsx'
import { Alert } from '../../ui/notes.tsx'
import { useDevice } from '../device.tsx'
import { explain } from '../problem.ts'
import { useWords } from '../words/words.tsx'
import styles from './demo.module.css'

/** Sends a critical or a direct notification to the signed-in user. */
export function Tester() {
  const words = useWords()
  const { demo } = words
  const { api, session } = useDevice()
  const notify = useMutation({ mutationFn: (kind: 'critical' | 'send') => api.notify(session.user.id, kind) })
  return (
    <section className={styles.tester} aria-label={demo.tester}>
      <span>
        {demo.tester}
        <small>{demo.testerHint}</small>
      </span>
      <div>
        <Button onClick={() => notify.mutate('critical')}>{demo.critical}</Button>{' '}
        <Button onClick={() => notify.mutate('send')}>{demo.direct}</Button>
      </div>
      {notify.isError && <Alert>{explain(notify.error, words)}</Alert>}
    </section>
  )
}
