import { useRavenpost } from 'ravenpost-client/react'
import { onInboxKey } from 'ravenpost-client/ui'
import { type KeyboardEvent, useState } from 'react'
import { Dialog } from '../../ui/dialog.tsx'
import { useWords } from '../words/words.tsx'
import styles from './notifications.module.css'

/** The keys of a list of notifications. `?` shows them. */
export function useListKeys() {
  const client = useRavenpost()
  const [areShown, show] = useState(false)
  const onKeyDown = (event: KeyboardEvent<HTMLElement>) => {
    if (event.key === '?') show(true)
    else onInboxKey(event, client)
  }
  return { onKeyDown, showKeys: () => show(true), keysDialog: areShown && <KeysDialog onClose={() => show(false)} /> }
}

function KeysDialog({ onClose }: { onClose(): void }) {
  const { app, notifications } = useWords()
  const { title, hint, ...of } = notifications.keys
  const keys: [string, string][] = [
    ['j ↓', of.next],
    ['k ↑', of.previous],
    ['Enter', of.open],
    ['u', of.read],
    ['e', of.archive],
    ['#', notifications.delete],
    ['⇧ A', notifications.readAll],
    ['?', title],
  ]
  return (
    <Dialog title={title} closeLabel={app.close} onClose={onClose}>
      <p className={styles.hint}>{hint}</p>
      <dl className={styles.keys}>
        {keys.map(([key, meaning]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{meaning}</dd>
          </div>
        ))}
      </dl>
    </Dialog>
  )
}
