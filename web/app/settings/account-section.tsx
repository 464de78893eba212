import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { type ReactNode, useActionState, useState } from 'react'
import { Button, SubmitButton } from '../../ui/button.tsx'
import { Dialog } from '../../ui/dialog.tsx'
import { Field, Select } from '../../ui/field.tsx'
import { Alert } from '../../ui/notes.tsx'
import { Time } from '../../ui/time.tsx'
import type { AuthSession, Me } from '../answers.ts'
import { useDevice } from '../device.tsx'
import { itemsOf, List, useList } from '../posts/list.tsx'
import { explain, faultsOf } from '../problem.ts'
import { languages, useWords } from '../words/words.tsx'
import { NotRead } from './draft.tsx'
import styles from './settings.module.css'

export function AccountSection() {
  const { api } = useDevice()
  const { data: me, error, refetch } = useQuery({ queryKey: ['me'], queryFn: api.me })
  if (!me) return <NotRead error={error} retry={refetch} />
  return (
    <>
      <UsernameCard me={me} />
      <EmailForm />
      <PasswordForm />
      <LocaleCard me={me} />
      <ExportCard />
      <DeleteCard me={me} />
    </>
  )
}

type Fault = { problem?: unknown; done?: true; typed?: FormData }

/** A form that makes one call, shows faults beside the fields, and confirms success. Keeps the input when it fails. */
function Form(props: {
  title: string
  done: string
  submit: string
  run(form: FormData): Promise<unknown>
  children(at: (property: string) => string | undefined, typed: (name: string) => string | undefined): ReactNode
}) {
  const words = useWords()
  const [state, action] = useActionState<Fault, FormData>(async (_, form) => {
    try {
      await props.run(form)
      return { done: true }
    } catch (problem) {
      return { problem, typed: form }
    }
  }, {})
  const { at, general } = faultsOf(state.problem, words)
  const typed = (name: string) => state.typed?.get(name)?.toString()
  return (
    <section className={styles.card}>
      <h2>{props.title}</h2>
      <form action={action}>
        {state.done && <Alert good>{props.done}</Alert>}
        {general && <Alert>{general}</Alert>}
        {props.children(at, typed)}
        <div className={styles.actions}>
          <SubmitButton kind="plain">{props.submit}</SubmitButton>
        </div>
      </form>
    </section>
  )
}

function UsernameCard({ me }: { me: Me }) {
  const { settings, account, app } = useWords()
  const { api } = useDevice()
  const queries = useQueryClient()
  return (
    <Form
      title={settings.username}
      done={settings.usernameChanged}
      submit={app.save}
      run={async (form) => {
        queries.setQueryData(['me'], await api.changeMe({ username: String(form.get('username')).toLowerCase() }))
      }}
    >
      {(at, typed) => (
        <Field
          label={account.username}
          name="username"
          required
          pattern="[A-Za-z0-9_]{3,30}"
          hint={account.usernameHint}
          autoCapitalize="none"
          defaultValue={typed('username') ?? me.username}
          error={at('username')}
        />
      )}
    </Form>
  )
}

function EmailForm() {
  const { settings, account } = useWords()
  const { api } = useDevice()
  return (
    <Form
      title={settings.changeEmail}
      done={settings.emailChanged}
      submit={settings.changeEmail}
      run={(form) =>
        api.changeMe({ email: String(form.get('email')), currentPassword: String(form.get('currentPassword')) })
      }
    >
      {(at, typed) => (
        <>
          <Field
            label={account.email}
            name="email"
            type="email"
            required
            autoComplete="email"
            defaultValue={typed('email')}
            error={at('email')}
          />
          <CurrentPassword error={at('currentPassword')} />
        </>
      )}
    </Form>
  )
}

function CurrentPassword({ error }: { error: string | undefined }) {
  const { account } = useWords()
  return (
    <Field
      label={account.currentPassword}
      name="currentPassword"
      type="password"
      required
      autoComplete="current-password"
      error={error}
    />
  )
}

function PasswordForm() {
  const { settings, account } = useWords()
  const { api } = useDevice()
  return (
    <Form
      title={settings.changePassword}
      done={settings.passwordChanged}
      submit={settings.changePassword}
      run={(form) => api.changePassword(String(form.get('currentPassword')), String(form.get('password')))}
    >
      {(at) => (
        <>
          <CurrentPassword error={at('currentPassword')} />
          <Field
            label={account.newPassword}
            name="password"
            type="password"
            required
            minLength={8}
            maxLength={200}
            autoComplete="new-password"
            hint={account.passwordHint}
            error={at('password')}
          />
        </>
      )}
    </Form>
  )
}

function LocaleCard({ me }: { me: Me }) {
  const words = useWords()
  const { api } = useDevice()
  const queries = useQueryClient()
  const change = useMutation({
    mutationFn: (locale: string) =>
      api.changeMe({ locale, timeZone: Intl.DateTimeFormat().resolvedOptions().timeZone }),
    onSuccess: (changed) => queries.setQueryData(['me'], changed),
  })
  return (
    <section className={styles.card}>
      <Select
        label={words.settings.locale}
        value={me.locale?.slice(0, 2) ?? 'en'}
        disabled={change.isPending}
        onChange={({ target }) => change.mutate(target.value)}
      >
        {languages.map(({ value, label }) => (
          <option key={value} value={value}>
            {label}
          </option>
        ))}
      </Select>
      {change.isError && <Alert>{explain(change.error, words)}</Alert>}
    </section>
  )
}

function ExportCard() {
  const words = useWords()
  const { session } = useDevice()
  const download = useMutation({
    mutationFn: async () => {
      const response = await session.send('GET', '/auth/me/export')
      const url = URL.createObjectURL(await response.blob())
      const link = Object.assign(document.createElement('a'), { href: url, download: 'ravenpost.json' })
      link.click()
      setTimeout(() => URL.revokeObjectURL(url), 60_000)
    },
  })
  return (
    <section className={styles.card}>
      <div>
        <h2>{words.settings.export}</h2>
        <p className={styles.hint}>{words.settings.exportHint}</p>
      </div>
      {download.isError && <Alert>{explain(download.error, words)}</Alert>}
      <div className={styles.actions}>
        <Button busy={download.isPending} onClick={() => download.mutate()}>
          {words.settings.download}
        </Button>
      </div>
    </section>
  )
}

function DeleteCard({ me }: { me: Me }) {
  const words = useWords()
  const { settings, app } = words
  const { api, session } = useDevice()
  const [asking, setAsking] = useState(false)
  const [state, action] = useActionState<Fault, FormData>(async (_, form) => {
    try {
      await api.deleteAccount(me.id, String(form.get('currentPassword')))
    } catch (problem) {
      return { problem }
    }
    await session.end()
    return {}
  }, {})
  return (
    <section className={styles.card}>
      <div>
        <h2>{settings.deleteAccount}</h2>
        <p className={styles.hint}>{settings.deleteHint}</p>
      </div>
      <div className={styles.actions}>
        <Button kind="danger" onClick={() => setAsking(true)}>
          {settings.deleteAccount}
        </Button>
      </div>
      {asking && (
        <Dialog title={settings.deleteAccount} closeLabel={app.close} onClose={() => setAsking(false)}>
          <p>{settings.deleteHint}</p>
          <form action={action}>
            {state.problem !== undefined && <Alert>{explain(state.problem, words)}</Alert>}
            <CurrentPassword error={undefined} />
            <div className={styles.actions} style={{ marginBlockStart: 16 }}>
              <Button onClick={() => setAsking(false)}>{app.cancel}</Button>
              <SubmitButton kind="danger">{settings.deleteConfirm}</SubmitButton>
            </div>
          </form>
        </Dialog>
      )}
    </section>
  )
}

export function SessionsSection() {
  const { settings } = useWords()
  const { api, session } = useDevice()
  const queries = useQueryClient()
  const list = useList<AuthSession>(['sessions'], api.sessions)
  const end = useMutation({
    mutationFn: ({ id }: AuthSession) => api.endSession(id),
    onSuccess: (_nothing, { current }) =>
      current ? session.end() : queries.invalidateQueries({ queryKey: ['sessions'] }),
  })
  return (
    <section className={styles.card}>
      <div>
        <h2>{settings.sections.sessions}</h2>
        <p className={styles.hint}>{settings.sessionsHint}</p>
      </div>
      <div className={styles.rows} data-count={itemsOf(list).length}>
        <List list={list} empty={null}>
          {(one) => (
            <div key={one.id} className={styles.row}>
              <span>
                <span>
                  {nameOf(one.userAgent)}
                  {one.current && <span className={styles.tag}>{settings.current}</span>}
                </span>
                <small title={one.userAgent}>
                  <Time at={one.lastUsedAt} />
                </small>
              </span>
              <Button busy={end.isPending && end.variables.id === one.id} onClick={() => end.mutate(one)}>
                {settings.signOutSession}
              </Button>
            </div>
          )}
        </List>
      </div>
    </section>
  )
}

/** Name of browser and operating system, from the User-Agent header. */
function nameOf(userAgent: string): string {
  const browser = ['Edg', 'Firefox', 'Chrome', 'Safari', 'curl', 'node'].find((name) => userAgent.includes(name))
  const system = ['Android', 'iPhone', 'iPad', 'Windows', 'Mac OS', 'Linux'].find((name) => userAgent.includes(name))
  return [browser === 'Edg' ? 'Edge' : browser, system].filter(Boolean).join(', ') || userAgent || '–'
}
