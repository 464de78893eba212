import { useWhy } from 'ravenpost-client/react'
import { Button } from '../../ui/button.tsx'
import { Dialog } from '../../ui/dialog.tsx'
import { Alert, Loading } from '../../ui/notes.tsx'
import { moment } from '../../ui/time.tsx'
import { explain } from '../problem.ts'
import { useGo } from '../routes.tsx'
import { useLanguage, useWords } from '../words/words.tsx'
import styles from './notifications.module.css'

/** Shows which rule decided for each channel, and the result. */
export function WhyDialog({ id, onClose }: { id: string; onClose(): void }) {
  const words = useWords()
  const { app, notifications } = words
  const language = useLanguage()
  const { why, error } = useWhy(id)
  const go = useGo()
  const channels: Record<string, string | undefined> = notifications.channels
  const deciders: Record<string, string | undefined> = notifications.decidedBy
  return (
    <Dialog title={notifications.why} closeLabel={app.close} onClose={onClose}>
      <p className={styles.hint}>{notifications.whyHint}</p>
      {error && <Alert>{explain(error, words)}</Alert>}
      {!why && !error && <Loading label={app.loading} />}
      {why && (
        <ul className={styles.why}>
          {why.decisions.map(({ channel, decision, decidedBy, reason, until, at }) => (
            <li key={`${channel}${at}`}>
              <strong>{channels[channel] ?? channel}</strong>
              <span>
                <span className={styles[decision]}>{notifications.decisions[decision]}</span>
                {until && ` ${notifications.until(moment(new Date(until), language))}`}
                {': '}
                {deciders[decidedBy] ?? decidedBy}
                {reason && (
                  <>
                    <span className="visually-hidden">. </span>
                    <small lang="en">{reason}</small>
                  </>
                )}
              </span>
            </li>
          ))}
        </ul>
      )}
      {why && why.deliveries.length > 0 && (
        <>
          <h3>{notifications.deliveries}</h3>
          <ul className={styles.why}>
            {why.deliveries.map(({ channel, target, state, reason, attempts, lastError }) => (
              <li key={`${channel}${target}`}>
                <strong>{channels[channel] ?? channel}</strong>
                <span>
                  {state}
                  {reason && `: ${reason}`}
                  <small>
                    {target} · {notifications.attempts(attempts)}
                    {lastError && ` · ${lastError}`}
                  </small>
                </span>
              </li>
            ))}
          </ul>
        </>
      )}
      <Button
        onClick={() => {
          onClose()
          go('/settings/notifications')
        }}
      >
        {notifications.changeThis}
      </Button>
    </Dialog>
  )
}
