import { useQuery } from '@tanstack/react-query'
import { Link, useLocation } from '@tanstack/react-router'
import { Menu, Moon, Pause, Play, Sun, Wrench } from 'lucide-react'
import { type ReactNode, useEffect, useRef, useState } from 'react'
import { useApi } from '../app/device.tsx'
import { SignedIn } from '../app/shell/signed-in.tsx'
import { useLook } from '../app/words/words.tsx'
import { Button, buttonClass } from '../ui/button.tsx'
import styles from './console.module.css'
import { ConsoleData, useConsole, useNamed } from './data.tsx'
import { Audit } from './screens/audit.tsx'
import { BroadcastScreen, Broadcasts } from './screens/broadcasts.tsx'
import { DeadLetters } from './screens/dead-letters.tsx'
import { Deliveries, Invariants, ReadScreen, reads, Types, Workers } from './screens/lists.tsx'
import { Overview } from './screens/overview.tsx'
import { SegmentsScreen } from './screens/segments.tsx'
import { Settings } from './screens/settings.tsx'
import { Experiment, TableScreen, Tables } from './screens/tables.tsx'
import { TemplateScreen, Templates } from './screens/templates.tsx'
import { FindTrace, TraceScreen } from './screens/trace.tsx'
import { FindUser, UserScreen } from './screens/user.tsx'
import { Failed } from './ui/parts.tsx'
import { count } from './words.ts'

/** Milliseconds for which write actions stay enabled after the switch. */
const OPERATE_MS = 10 * 60_000
const STAFF = ['reader', 'operator', 'admin']

/** The console: what the system does, and the SQL behind it. In English, for readers, operators and admins. */
export function ConsolePage() {
  return (
    <SignedIn>
      <Admitted />
    </SignedIn>
  )
}

function Admitted() {
  const api = useApi()
  const { data: me, error } = useQuery({ queryKey: ['console-me'], queryFn: api.me, staleTime: 60_000 })
  if (error) return <Failed error={error} />
  if (!me) return null
  if (!STAFF.includes(me.role)) return <Refused name={me.username} />
  return (
    <ConsoleData role={me.role}>
      <Frame />
    </ConsoleData>
  )
}

function Refused({ name }: { name: string }) {
  return (
    <main className={styles.refused} lang="en" dir="ltr">
      <h1>The console is for readers, operators and admins</h1>
      <p>
        You are signed in as @{name}, who is none of them. An admin changes roles by PUT /admin/users/:id/role; the
        first admin is made by <code>npm run user:grant-admin -- {name}</code>. Then sign in again.
      </p>
      <Link to="/" className={buttonClass('plain')}>
        Back to the app
      </Link>
    </main>
  )
}

type Entry = { path: string; label: string; number?: number | undefined }

function useEntries(): { title?: string; entries: Entry[] }[] {
  const system = useConsole().ticks.at(-1)?.system
  return [
    {
      entries: [
        { path: '', label: 'Overview' },
        { path: 'experiment', label: 'Experiment' },
        { path: 'tables', label: 'Tables' },
        { path: 'user', label: 'Inbox of a user' },
        { path: 'trace', label: 'Trace' },
        { path: 'invariants', label: 'Invariants' },
        { path: 'audit', label: 'Audit' },
      ],
    },
    {
      title: 'Work',
      entries: [
        { path: 'lanes', label: 'Lanes and lag', number: system?.failingLanes },
        { path: 'jobs', label: 'Jobs' },
        { path: 'workers', label: 'Processes' },
        { path: 'pending', label: 'Pending', number: system?.pendingEvents },
        { path: 'locks', label: 'Locks' },
        { path: 'dead-letters', label: 'Dead letters', number: system?.deadLetters },
      ],
    },
    {
      title: 'Send',
      entries: [
        { path: 'broadcasts', label: 'Broadcasts' },
        { path: 'templates', label: 'Templates' },
        { path: 'segments', label: 'Segments' },
        { path: 'deliveries', label: 'Deliveries', number: system?.overdueDeliveries },
        { path: 'webhooks', label: 'Webhooks', number: system?.failingWebhooks },
        { path: 'breakers', label: 'Circuit breakers' },
        { path: 'types', label: 'Types' },
        { path: 'settings', label: 'Settings' },
      ],
    },
  ]
}

function Frame() {
  const { pathname } = useLocation()
  const path = pathname.replace(/^.*\/console\/?/, '')
  const [open, setOpen] = useState(false)
  const main = useRef<HTMLElement>(null)
  const first = useRef(true)
  // Moves the focus to the content of a new screen, for keyboards and screen readers.
  useEffect(() => {
    setOpen(false)
    if (!first.current && path !== undefined) main.current?.focus({ preventScroll: true })
    first.current = false
  }, [path])
  useEffect(() => {
    document.title = 'Ravenpost console'
  }, [])
  return (
    <div className={styles.console} data-density="compact" lang="en" dir="ltr">
      <button type="button" className={styles.skip} onClick={() => main.current?.focus()}>
        Skip to content
      </button>
      <header className={styles.side}>
        <div className={styles.brand}>
          <Link to="/console" search={{}}>
            Ravenpost
          </Link>
          <Button
            kind="quiet"
            className={styles.burger}
            aria-expanded={open}
            aria-controls="console-nav"
            onClick={() => setOpen(!open)}
          >
            <Menu aria-hidden="true" /> Screens
          </Button>
        </div>
        <nav id="console-nav" aria-label="Console" data-open={open}>
          <Nav />
        </nav>
        <Controls />
      </header>
      <main id="console-main" ref={main} tabIndex={-1} className={styles.main}>
        <ScreenOf path={path} />
      </main>
    </div>
  )
}

function Nav() {
  return useEntries().map(({ title, entries }) => (
    <div key={title ?? ''}>
      {title && <h2>{title}</h2>}
      <ul>
        {entries.map((entry) => (
          <li key={entry.path}>
            <Link
              to={entry.path === '' ? '/console' : '/console/$'}
              params={{ _splat: entry.path }}
              search={{}}
              activeOptions={{ exact: entry.path === '', includeSearch: false }}
            >
              {entry.label}
              {entry.number !== undefined && entry.number > 0 && (
                <span className={styles.count}>{count(entry.number)}</span>
              )}
            </Link>
          </li>
        ))}
      </ul>
    </div>
  ))
}

function Controls() {
  const { live, setLive, operateUntil, setOperateUntil, role } = useConsole()
  const { theme, change } = useLook()
  const dark = theme === 'dark' || (theme === 'system' && matchMedia('(prefers-color-scheme: dark)').matches)
  const operating = operateUntil > 0
  return (
    <div className={styles.controls}>
      <Button kind="quiet" aria-pressed={live} onClick={() => setLive(!live)}>
        {live ? <Pause aria-hidden="true" /> : <Play aria-hidden="true" />}
        {live ? 'Pause' : 'Resume'}
      </Button>
      <Button
        kind={operating ? 'danger' : 'quiet'}
        aria-pressed={operating}
        disabled={role === 'reader'}
        title={role === 'reader' ? 'Readers change nothing' : 'Buttons that change something work for ten minutes'}
        onClick={() => setOperateUntil(operating ? 0 : Date.now() + OPERATE_MS)}
      >
        <Wrench aria-hidden="true" />
        {operating ? `Operating until ${new Date(operateUntil).toTimeString().slice(0, 5)}` : 'Operate'}
      </Button>
      <Button kind="quiet" onClick={() => change({ theme: dark ? 'light' : 'dark' })}>
        {dark ? <Sun aria-hidden="true" /> : <Moon aria-hidden="true" />}
        {dark ? 'Light' : 'Dark'}
      </Button>
      <Link to="/" className={styles.back}>
        Back to the app
      </Link>
    </div>
  )
}

const screens: Record<string, () => ReactNode> = {
  '': () => <Overview />,
  experiment: () => <Experiment />,
  tables: () => <Tables />,
  user: () => <FindUser />,
  invariants: () => <Invariants />,
  workers: () => <Workers />,
  'dead-letters': () => <DeadLetters />,
  deliveries: () => <Deliveries />,
  types: () => <Types />,
  settings: () => <Settings />,
  broadcasts: () => <Broadcasts />,
  trace: () => <FindTrace />,
  templates: () => <Templates />,
  segments: () => <SegmentsScreen />,
}

function ScreenOf({ path }: { path: string }) {
  const { value } = useNamed()
  const [top = '', rest] = path.split('/').map(decodeURIComponent)
  if (top === 'audit') return <Audit key={value} />
  if (top === 'tables' && rest) return <TableScreen key={rest} name={rest} />
  if (top === 'user' && rest) return <UserScreen key={rest} id={rest} />
  if (top === 'broadcasts' && rest) return <BroadcastScreen key={rest} id={rest} />
  if (top === 'trace' && rest) return <TraceScreen key={rest} of={rest} />
  if (top === 'templates' && rest) return <TemplateScreen key={rest} id={rest} />
  const read = reads[top]
  if (read) return <ReadScreen key={top} read={read} />
  const screen = screens[top]
  return screen ? screen() : <p>The console has no screen of this name.</p>
}
