import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import type { Preferences } from 'ravenpost-client'
import { usePush } from 'ravenpost-client/react'
import { Button } from '../../ui/button.tsx'
import { Field, Segments, Select, SwitchRow } from '../../ui/field.tsx'
import { Alert } from '../../ui/notes.tsx'
import { Time } from '../../ui/time.tsx'
import type { PushBrowser } from '../answers.ts'
import { useApi } from '../device.tsx'
import { itemsOf, useList } from '../posts/list.tsx'
import { explain, Problem } from '../problem.ts'
import { useWords } from '../words/words.tsx'
import { NotRead, SaveBar, useDraft } from './draft.tsx'
import { useDayNames } from './quiet-section.tsx'
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
      {shown && <DigestCard digest={shown.digest ?? null} change={(digest) => draft.change({ digest })} />}
      {shown ? (
        <SaveBar draft={draft} />
      ) : (
        <NotRead error={draft.error} retry={() => draft.reload().catch(() => undefined)} />
      )}
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

type Digest = NonNullable<Preferences['digest']>

/** Mails at once, or together once a day or week. */
function DigestCard({ digest, change }: { digest: Digest | null; change(digest: Digest | null): void }) {
  const { settings } = useWords()
  const days = useDayNames('long')
  const choose = (every: string) => {
    if (every !== 'day' && every !== 'week') return change(null)
    const { timeZone } = Intl.DateTimeFormat().resolvedOptions()
    change({ at: '08:00', timeZone, ...digest, every })
  }
  return (
    <section className={styles.card}>
      <div>
        <h2>{settings.digest}</h2>
        <p className={styles.hint}>{settings.digestHint}</p>
      </div>
      <Segments
        label={settings.digest}
        value={digest?.every ?? 'never'}
        options={(['never', 'day', 'week'] as const).map((value) => ({ value, label: settings.digestEvery[value] }))}
        onChange={choose}
      />
      {digest?.every === 'week' && (
        <Select
          label={settings.digestDay}
          value={digest.day ?? 1}
          onChange={({ target }) => change({ ...digest, day: Number(target.value) })}
        >
          {days.map((name, index) => (
            <option key={name} value={index + 1}>
              {name}
            </option>
          ))}
        </Select>
      )}
      {digest && (
        <Field
          label={settings.digestAt}
          type="time"
          required
          value={digest.at}
          onChange={({ target }) => target.value && change({ ...digest, at: target.value })}
        />
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
