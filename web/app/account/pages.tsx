import { Link, Navigate, Outlet, useLocation, useNavigate } from '@tanstack/react-router'
import { type ReactNode, useActionState, useEffect, useState, useSyncExternalStore } from 'react'
import { buttonClass, SubmitButton } from '../../ui/button.tsx'
import { Field } from '../../ui/field.tsx'
import { Alert, Loading } from '../../ui/notes.tsx'
import { useSignIn } from '../app.tsx'
import { post } from '../calls.ts'
import { demoEnabled } from '../demo/enabled.ts'
import { lateSignOut } from '../owed-sign-out.ts'
import { explain, faultsOf } from '../problem.ts'
import { signIn, signUp } from '../session.ts'
import { useTitle } from '../shell/title.ts'
import { languages, useLook, useWords } from '../words/words.tsx'
import styles from './account.module.css'

/** Layout of the pages for users who are not signed in: a description of the app, and a form. */
export function AccountFrame({ children }: { children?: ReactNode }) {
  const { app, account, nav } = useWords()
  const { language, change } = useLook()
  return (
    <div className={styles.frame}>
      <header className={styles.top}>
        <Link to="/" className={styles.brand}>
          <img src="icon.svg" alt="" />
          {app.name}
        </Link>
        <select
          aria-label={nav.language}
          value={language}
          onChange={(event) => {
            const chosen = languages.find(({ value }) => value === event.target.value)
            if (chosen) change({ language: chosen.value })
          }}
        >
          {languages.map(({ value, label }) => (
            <option key={value} value={value}>
              {label}
            </option>
          ))}
        </select>
      </header>
      <main className={styles.center}>
        <div className={styles.pitch}>
          <h1>{account.welcome}</h1>
          <p>{account.welcomeHint}</p>
          {demoEnabled && (
            <>
              <Link to="/demo" className={buttonClass('plain')}>
                {account.tryDemo}
              </Link>
              <p style={{ fontSize: 'var(--text-s)' }}>{account.tryDemoHint}</p>
            </>
          )}
        </div>
        <section className={styles.card}>{children ?? <Outlet />}</section>
      </main>
    </div>
  )
}

/** Shown instead of a page that requires a signed-in user. */
export function SignInHere() {
  return (
    <AccountFrame>
      <SignInPage />
    </AccountFrame>
  )
}

type FormState = { problem?: unknown; fields?: Record<string, string> }

/** Runs the action of a form. Keeps the input when it fails, because React empties the form. */
function useForm(run: (fields: Record<string, string>) => Promise<void>) {
  return useActionState<FormState, FormData>(async (_, form) => {
    const fields = Object.fromEntries([...form].map(([name, value]) => [name, String(value)]))
    try {
      await run(fields)
      return {}
    } catch (problem) {
      return { problem, fields }
    }
  }, {})
}

export function SignInPage() {
  const words = useWords()
  const { account } = words
  useTitle(account.signIn)
  const { session, start } = useSignIn()
  const isLate = useSyncExternalStore(lateSignOut.subscribe, lateSignOut.getSnapshot)
  const atSignIn = useLocation().pathname === '/signin'
  const [state, action] = useForm(async ({ login = '', password = '' }) =>
    start(await signIn(login.trim().toLowerCase(), password)),
  )
  const { at, general } = faultsOf(state.problem, words)
  if (session && atSignIn) return <Navigate to="/" />
  return (
    <>
      <h2>{account.signIn}</h2>
      {isLate && <p role="status">{account.signOutOwed}</p>}
      <form action={action}>
        {general && <Alert>{general}</Alert>}
        <Field
          label={account.login}
          name="login"
          required
          autoComplete="username"
          autoCapitalize="none"
          defaultValue={state.fields?.login}
          error={at('login')}
        />
        <Field
          label={account.password}
          name="password"
          type="password"
          required
          autoComplete="current-password"
          error={at('password')}
        />
        <SubmitButton>{account.signIn}</SubmitButton>
      </form>
      <p className={styles.foot}>
        <span>
          {account.noAccount} <Link to="/signup">{account.signUp}</Link>
        </span>
        <Link to="/forgot">{account.forgot}</Link>
      </p>
    </>
  )
}

export function SignUpPage() {
  const words = useWords()
  const { account } = words
  useTitle(account.signUp)
  const { session, start } = useSignIn()
  const [state, action] = useForm(async ({ username = '', email = '', password = '', displayName = '' }) =>
    start(
      await signUp({
        username: username.trim().toLowerCase(),
        email: email.trim(),
        password,
        ...(displayName.trim() && { displayName: displayName.trim() }),
      }),
    ),
  )
  const { at, general } = faultsOf(state.problem, words)
  if (session) return <Navigate to="/" />
  const { fields } = state
  return (
    <>
      <h2>{account.signUp}</h2>
      <form action={action}>
        {general && <Alert>{general}</Alert>}
        <Field
          label={account.displayName}
          name="displayName"
          maxLength={100}
          autoComplete="name"
          defaultValue={fields?.displayName}
          error={at('displayName')}
        />
        <Field
          label={account.username}
          name="username"
          required
          pattern="[A-Za-z0-9_]{3,30}"
          maxLength={30}
          autoCapitalize="none"
          autoComplete="username"
          hint={account.usernameHint}
          defaultValue={fields?.username}
          error={at('username')}
        />
        <Field
          label={account.email}
          name="email"
          type="email"
          required
          autoComplete="email"
          defaultValue={fields?.email}
          error={at('email')}
        />
        <Field
          label={account.password}
          name="password"
          type="password"
          required
          minLength={8}
          maxLength={200}
          autoComplete="new-password"
          hint={account.passwordHint}
          error={at('password')}
        />
        <SubmitButton>{account.signUp}</SubmitButton>
      </form>
      <p className={styles.foot}>
        <span>
          {account.haveAccount} <Link to="/signin">{account.signIn}</Link>
        </span>
      </p>
    </>
  )
}

export function ForgotPage() {
  const words = useWords()
  const { account } = words
  useTitle(account.forgotTitle)
  const [sent, setSent] = useState(false)
  const [state, action] = useForm(async ({ login = '' }) => {
    await post('/auth/password/forgot', { login: login.trim().toLowerCase() })
    setSent(true)
  })
  const { at, general } = faultsOf(state.problem, words)
  return (
    <>
      <h2>{account.forgotTitle}</h2>
      {sent ? (
        <Alert good>{account.linkSent}</Alert>
      ) : (
        <form action={action}>
          {general && <Alert>{general}</Alert>}
          <p>{account.forgotHint}</p>
          <Field
            label={account.login}
            name="login"
            required
            autoComplete="username"
            autoCapitalize="none"
            defaultValue={state.fields?.login}
            error={at('login')}
          />
          <SubmitButton>{account.sendLink}</SubmitButton>
        </form>
      )}
      <p className={styles.foot}>
        <Link to="/signin">{account.signIn}</Link>
      </p>
    </>
  )
}

/** The token in the URL, from a link in a mail. */
const tokenOf = (search: unknown) => {
  const token = (search as { token?: unknown }).token
  return token === undefined ? undefined : String(token)
}

export function ResetPage() {
  const words = useWords()
  const { account } = words
  useTitle(account.resetTitle)
  const token = tokenOf(useLocation().search)
  const [done, setDone] = useState(false)
  const [state, action] = useForm(async ({ password = '' }) => {
    await post('/auth/password/reset', { token, password })
    setDone(true)
  })
  const { at, general } = faultsOf(state.problem, words)
  return (
    <>
      <h2>{account.resetTitle}</h2>
      {token === undefined && <Alert>{account.noToken}</Alert>}
      {done && <Alert good>{account.resetDone}</Alert>}
      {!done && token !== undefined && (
        <form action={action}>
          {general && <Alert>{general}</Alert>}
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
          <SubmitButton>{account.reset}</SubmitButton>
        </form>
      )}
      <p className={styles.foot}>
        <Link to="/signin">{account.signIn}</Link>
        <Link to="/forgot">{account.forgot}</Link>
      </p>
    </>
  )
}

/** Confirms by script, which scanners of mails do not run. */
export function ConfirmPage() {
  const words = useWords()
  const navigate = useNavigate()
  const token = tokenOf(useLocation().search)
  const [state, setState] = useState<{ done?: true; problem?: unknown }>({})
  useEffect(() => {
    if (token === undefined) return
    post('/auth/verify-email', { token }).then(
      () => setState({ done: true }),
      (problem: unknown) => setState({ problem }),
    )
  }, [token])
  const failed = token === undefined ? words.account.noToken : state.problem ? explain(state.problem, words) : undefined
  return (
    <>
      <h2>{words.account.email}</h2>
      {failed && <Alert>{failed}</Alert>}
      {state.done && <Alert good>{words.account.confirmed}</Alert>}
      {!failed && !state.done && <Loading label={words.account.confirming} />}
      <SubmitButton type="button" onClick={() => void navigate({ to: '/' })}>
        {words.app.toFeed}
      </SubmitButton>
    </>
  )
}
