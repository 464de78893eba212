import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { Bell } from 'lucide-react'
import { RavenpostProvider } from 'ravenpost-client/react'
import { type ReactNode, useId, useMemo, useState } from 'react'
import { createApi } from '../app/api.ts'
import { Dials } from '../app/demo/dials.tsx'
import { DeviceContext } from '../app/device.tsx'
import { BellButton, BellPanel } from '../app/notifications/bell.tsx'
import { NotificationItem } from '../app/notifications/item.tsx'
import rows from '../app/notifications/notifications.module.css'
import { Toaster } from '../app/notifications/toaster.tsx'
import { WhyDialog } from '../app/notifications/why-dialog.tsx'
import { UserRow } from '../app/people/users.tsx'
import { Comments } from '../app/posts/comments.tsx'
import { Composer } from '../app/posts/composer.tsx'
import { PostCard } from '../app/posts/post.tsx'
import { Problem } from '../app/problem.ts'
import { Session } from '../app/session.ts'
import { NotificationsSection } from '../app/settings/notifications-section.tsx'
import { QuietSection } from '../app/settings/quiet-section.tsx'
import { WhatIfDialog } from '../app/settings/what-if.tsx'
import { Crashed, NotFound } from '../app/shell/boundary.tsx'
import { ConnectionStatus } from '../app/shell/connection-status.tsx'
import { languages, useLook, useWords } from '../app/words/words.tsx'
import { Avatar, Faces } from '../ui/avatar.tsx'
import { Button, type ButtonKind, IconButton } from '../ui/button.tsx'
import { Dialog } from '../ui/dialog.tsx'
import { Field, Segments, Select, SwitchRow, TextArea } from '../ui/field.tsx'
import { Menu } from '../ui/menu.tsx'
import { Alert, Empty, Loading } from '../ui/notes.tsx'
import { Tabs } from '../ui/tabs.tsx'
import { type FixedState, fixedClient } from './fixed-client.ts'
import * as shown from './fixtures.ts'
import styles from './gallery.module.css'

/** Every component in its states, in the chosen theme and language; nothing here is real, and nothing is sent. */
export function Gallery() {
  return (
    <Fixed state={{ items: shown.items, unread: 5 }}>
      <main className={styles.page}>
        <Controls />
        <Basics />
        <Inbox />
        <Content />
        <Settings />
        <Overlays />
      </main>
      <Toaster />
    </Fixed>
  )
}

function Controls() {
  const { nav } = useWords()
  const { theme, language, change } = useLook()
  const themes = (['system', 'light', 'dark'] as const).map((value) => ({ value, label: nav.themes[value] }))
  return (
    <header className={styles.top}>
      <h1>Gallery</h1>
      <Segments label={nav.theme} value={theme} options={themes} onChange={(theme) => change({ theme })} />
      <Segments
        label={nav.language}
        value={language}
        options={languages}
        onChange={(language) => change({ language })}
      />
    </header>
  )
}

function Basics() {
  const [tab, setTab] = useState<'all' | 'unread'>('all')
  const panel = useId()
  const kinds: ButtonKind[] = ['primary', 'plain', 'quiet', 'danger']
  return (
    <Section title="Basics">
      <State name="Button: every kind, busy, disabled" wide>
        <div className={styles.row}>
          {kinds.map((kind) => (
            <Button key={kind} kind={kind}>
              {kind}
            </Button>
          ))}
          <Button kind="primary" busy>
            busy
          </Button>
          <Button disabled>disabled</Button>
          <IconButton label="Icon">
            <Bell aria-hidden="true" />
          </IconButton>
        </div>
      </State>
      <State name="Field: hint, error, several lines, choice">
        <Field label="Name" hint="As others see it" defaultValue="Ana" />
        <Field label="Username" error="This name is taken." defaultValue="ana" />
        <TextArea label="About you" hint="Up to 300 characters" />
        <Select label="Time zone">
          <option>Europe/Berlin</option>
        </Select>
      </State>
      <State name="Switch, segments, tabs">
        <SwitchRow label="On" hint="With a hint" defaultChecked />
        <SwitchRow label="Off" />
        <SwitchRow label="Off, and not to be changed" disabled />
        <Segments
          label="From"
          value="a"
          options={[
            { value: 'a', label: 'Mixed' },
            { value: 'b', label: 'Strangers' },
          ]}
          onChange={() => {}}
        />
        <Tabs<'all' | 'unread'>
          label="Tabs"
          value={tab}
          controls={panel}
          onChange={setTab}
          tabs={[
            { value: 'all', label: 'All' },
            { value: 'unread', label: 'Unread 5' },
          ]}
        />
        <div id={panel} role="tabpanel" aria-label={tab} />
      </State>
      <State name="Avatar: initial, picture, picture that is gone; up to three faces">
        <div className={styles.row}>
          {shown.people.map((person) => (
            <Avatar key={person.id} user={person} />
          ))}
          <Faces users={shown.people} />
        </div>
      </State>
      <State name="Notes: bad, good">
        <Alert>
          You are offline. <Button>Try again</Button>
        </Alert>
        <Alert good>Snoozed until tomorrow</Alert>
      </State>
      <State name="Loading">
        <Loading label="Loading" />
      </State>
      <State name="Empty">
        <Empty icon={<Bell aria-hidden="true" />} title="Nothing new">
          You will hear of likes, comments and follows here.
        </Empty>
      </State>
      <State name="Page that is not there">
        <NotFound />
      </State>
      <State name="Page that broke">
        <Crashed error={new Error('broken')} reset={() => {}} />
      </State>
    </Section>
  )
}

function Inbox() {
  const inSeconds = (seconds: number) => Date.now() + seconds * 1000
  const bells: [string, FixedState][] = [
    ['none', {}],
    ['count', { unread: 7 }],
    ['99+', { unread: 120 }],
    ['offline', { unread: 7, connection: { status: 'offline' } }],
  ]
  const panels: [string, FixedState][] = [
    ['list', { items: shown.items, unread: 5 }],
    ['loading', { status: 'loading' }],
    ['empty', {}],
    ['offline', { items: shown.items.slice(0, 2), unread: 2, connection: { status: 'offline' } }],
    ['saved here', { items: shown.items.slice(4, 6), pending: 3, connection: { status: 'offline' } }],
    ['error', { status: 'error', error: new Problem(503, {}) }],
  ]
  const connections: FixedState['connection'][] = [
    { status: 'live' },
    { status: 'connecting' },
    { status: 'catchingUp', missing: 12 },
    { status: 'waiting', liveUntil: inSeconds(-60), retryAt: inSeconds(3600) },
    { status: 'offline', liveUntil: inSeconds(-60) },
    { status: 'signedOut' },
    { status: 'refused', closeCode: 4400 },
  ]
  return (
    <Section title="Inbox">
      <State name="Bell: none, count, 99+, offline">
        <div className={styles.row}>
          {bells.map(([name, state]) => (
            <Fixed key={name} state={state}>
              <BellButton />
            </Fixed>
          ))}
        </div>
      </State>
      <State name="Connection: every status">
        {connections.map((connection) => (
          <Fixed key={connection?.status} state={connection ? { connection } : {}}>
            <ConnectionStatus />
          </Fixed>
        ))}
      </State>
      {panels.map(([name, state]) => (
        <State key={name} name={`Panel: ${name}`}>
          <Fixed state={state}>
            <div className={styles.panel}>
              <BellPanel close={() => {}} onWhy={() => {}} />
            </div>
          </Fixed>
        </State>
      ))}
      <State name="Item: unread, grouped, pending, silent, read, archived, critical, unknown kind" wide>
        <ul className={rows.card}>
          {shown.items.map((item) => (
            <NotificationItem key={item.id} item={item} onWhy={() => {}} />
          ))}
        </ul>
      </State>
    </Section>
  )
}

function Content() {
  return (
    <Section title="Posts and people">
      <State name="Composer" wide>
        <Composer />
      </State>
      {shown.posts.map((post) => (
        <State
          key={post.id}
          name={post.id === '1' ? 'Post: own, liked' : 'Post: of another, edited, bookmarked, muted'}
        >
          <PostCard post={post} />
        </State>
      ))}
      <State name="Comments: with a reply, own and edited, deleted">
        <Comments postId="1" target={undefined} />
      </State>
      <State name="Dials: window open, and closed">
        <Dials post={shown.post} open />
      </State>
      <State name="Person: oneself, followed, who follows you">
        {shown.users.map((user) => (
          <UserRow key={user.id} user={user} />
        ))}
      </State>
    </Section>
  )
}

function Settings() {
  return (
    <Section title="Settings">
      <State name="Preferences: decided by you, channel, default, always" wide>
        <NotificationsSection />
      </State>
      <State name="Quiet hours and snooze" wide>
        <QuietSection />
      </State>
    </Section>
  )
}

/** One at a time: what is modal hides the others from screen readers. */
function Overlays() {
  const [open, setOpen] = useState<'dialog' | 'why' | 'whatIf'>()
  const close = () => setOpen(undefined)
  return (
    <Section title="Overlays">
      <div className={styles.row} data-overlays>
        <Button onClick={() => setOpen('dialog')}>Dialog</Button>
        <Button onClick={() => setOpen('why')}>Why</Button>
        <Button onClick={() => setOpen('whatIf')}>What if</Button>
        <Menu label="Menu" trigger={(attributes) => <Button {...attributes}>Menu</Button>}>
          <button type="button" role="menuitem">
            Edit
          </button>
          <button type="button" role="menuitem" data-danger>
            Delete
          </button>
        </Menu>
      </div>
      {open === 'dialog' && (
        <Dialog title="Delete this post?" closeLabel="Close" onClose={close}>
          <p>This cannot be undone.</p>
          <Button kind="danger">Delete</Button>
        </Dialog>
      )}
      {open === 'why' && <WhyDialog id="1" onClose={close} />}
      {open === 'whatIf' && <WhatIfDialog preferences={shown.preferences.preferences} onClose={close} />}
    </Section>
  )
}

function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className={styles.section} aria-label={title}>
      <h2>{title}</h2>
      <div className={styles.states}>{children}</div>
    </section>
  )
}

function State({ name, wide = false, children }: { name: string; wide?: boolean; children: ReactNode }) {
  return (
    <div className={`${styles.state} ${wide ? styles.wide : ''}`}>
      <h3>{name}</h3>
      {children}
    </div>
  )
}

/** A device in one state. */
function Fixed({ state, children }: { state: FixedState; children: ReactNode }) {
  const [{ client, device, queries }] = useState(() => ({
    client: fixedClient(state),
    device: { session: new Session(shown.people[0]), api: createApi({ request: answer }), wholePage: false },
    queries: new QueryClient({ defaultOptions: { queries: { retry: false, staleTime: Number.POSITIVE_INFINITY } } }),
  }))
  return useMemo(
    () => (
      <DeviceContext value={device}>
        <QueryClientProvider client={queries}>
          <RavenpostProvider client={client}>{children}</RavenpostProvider>
        </QueryClientProvider>
      </DeviceContext>
    ),
    [client, device, queries, children],
  )
}

/** Of the API, by the path. */
async function answer<T>(_method: string, path: string): Promise<T> {
  const page = (items: unknown[]) => ({ items, nextCursor: null })
  const answers: [RegExp, unknown][] = [
    [/^\/users\/\d+$/, shown.users[0]],
    [/parentId=1/, page(shown.replies)],
    [/\/comments/, page(shown.comments)],
    [/\/simulate/, shown.simulation],
    [/what-if/, shown.whatIf],
  ]
  const found = answers.find(([pattern]) => pattern.test(path))
  if (!found) throw new Problem(404, {})
  return found[1] as T
}
