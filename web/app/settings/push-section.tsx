import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { usePush } from 'ravenpost-client/react'
import { Button } from '../../ui/button.tsx'
import { SwitchRow } from '../../ui/field.tsx'
import { Alert } from '../../ui/notes.tsx'
import { Time } from '../../ui/time.tsx'
import type { PushBrowser } from '../answers.ts'
import { useApi } from '../device.tsx'
import { itemsOf, useList } from '../posts/list.tsx'
import { explain, Problem } from '../problem.ts'
import { useWords } from '../words/words.tsx'
import { SaveBar, useDraft } from './draft.tsx'
import styles from './settings.module.css'

/** Without keys on the server, as stated in the page, no browser is asked for permission. */
const isConfigured = document.querySelector('base')?.dataset.push === 'true'

export function PushSection() {
  const { settings, notifications } = useWords()
  const draft = useDraft()
  const { shown } = draft
  const channels = shown?.channels ?? {}
  return (
    <>
      <ThisBrowser />
      {shown && (
        <section className={styles.card}>
          <h2>{settings.whole}</h2>
          <div>
            <SwitchRow
              label={notifications.channels.webPush}
              checked={channels.webPush ?? true}
              onChange={({ target }) => draft.change({ channels: { ...channels, webPush: target.checked } })}
            />
            <SwitchRow
              label={notifications.channels.email}
              checked={channels.email ?? true}
              onChange={({ target }) => draft.change({ channels: { ...channels, email: target.checked } })}
            />
          </div>
        </section>
      )}
      <EmailCard />
      <SaveBar draft={draft} />
    </>
  )
}

function ThisBrowser() {
  const words = useWords()
  const { settings } = words
  const api = useApi()
  const queries = useQueryClient()
  const push = usePush({ serviceWorker: 'sw.js' })
  const list = useList<PushBrowser>(['browsers'], api.browsers, isConfigured)
  const remove = useMutation({
    mutationFn: api.removeBrowser,
    onSettled: () => queries.invalidateQueries({ queryKey: ['browsers'] }),
  })
  const changed = () => void queries.invalidateQueries({ queryKey: ['browsers'] })
  return (
    <section className={styles.card}>
      <div>
        <h2>{settings.push}</h2>
        <p className={styles.hint}>{settings.pushHint}</p>
      </div>
      {!isConfigured ? (
        <p>{settings.pushNotConfigured}</p>
      ) : (
        <div className={styles.row}>
          <span role="status">{settings.pushStates[push.state]}</span>
          {push.state === 'off' && (
            <Button kind="primary" onClick={() => void push.enable().then(changed)}>
              {settings.enable}
            </Button>
          )}
          {push.state === 'on' && <Button onClick={() => void push.disable().then(changed)}>{settings.disable}</Button>}
        </div>
      )}
      {push.error && <Alert>{explain(push.error, words)}</Alert>}
      {itemsOf(list).length > 0 && (
        <div className={styles.rows}>
          <h3>{settings.browsers}</h3>
          {itemsOf(list).map(({ id, host, createdAt, current }) => (
            <div key={id} className={styles.row}>
              <span>
                <span>
                  {host}
                  {current && <span className={styles.tag}>{settings.thisOne}</span>}
                </span>
                <small>
                  <Time at={createdAt} />
                </small>
              </span>
              <Button onClick={() => remove.mutate(id)}>{settings.remove}</Button>
            </div>
          ))}
        </div>
      )}
    </section>
  )
}

function EmailCard() {
  const words = useWords()
  const { settings } = words
  const api = useApi()
  const { data: me } = useQuery({ queryKey: ['me'], queryFn: api.me })
  const resend = useMutation({ mutationFn: api.resendVerification })
  return (
    <section className={styles.card}>
      <h2>{settings.email}</h2>
      {me && (
        <div className={styles.row}>
          <span>
            <span>
              {me.email}
              {me.emailVerified && <span className={styles.tag}>{settings.emailVerified}</span>}
            </span>
            {me.emailVerified === false && <small>{settings.emailUnverified}</small>}
          </span>
          {me.emailVerified === false && (
            <Button busy={resend.isPending} onClick={() => resend.mutate()}>
              {settings.resend}
            </Button>
          )}
        </div>
      )}
      {resend.isSuccess && <Alert good>{settings.resent}</Alert>}
      {resend.error instanceof Problem && <Alert>{explain(resend.error, words)}</Alert>}
    </section>
  )
}
