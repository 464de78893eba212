import { Link, Outlet, useLocation, useNavigate } from '@tanstack/react-router'
import { Bell, Bookmark, Home, Search, Settings, User } from 'lucide-react'
import { useBadge, useConnection, usePushClicks, useUnreadCount } from 'ravenpost-client/react'
import { type FormEvent, type ReactNode, useEffect, useRef } from 'react'
import { useSignIn } from '../app.tsx'
import { useDevice } from '../device.tsx'
import { BellButton } from '../notifications/bell.tsx'
import { Toaster } from '../notifications/toaster.tsx'
import { useKeepPostsLive } from '../posts/post-cache.ts'
import { useGo } from '../routes.tsx'
import { useFormat, useWords } from '../words/words.tsx'
import { AccountMenu } from './account-menu.tsx'
import { NotFound } from './boundary.tsx'
import { ConnectionStatus } from './connection-status.tsx'
import { Refusals } from './refusals.tsx'
import styles from './shell.module.css'
import { SignedIn } from './signed-in.tsx'

export function Root() {
  return <Outlet />
}

/** The page for an unknown address. A signed-in user keeps the header with the bell. */
export function Missing() {
  const { session } = useSignIn()
  if (!session)
    return (
      <main>
        <NotFound />
      </main>
    )
  return (
    <Shell>
      <NotFound />
    </Shell>
  )
}

export function Guarded() {
  return (
    <SignedIn>
      <Shell>
        <Outlet />
      </Shell>
    </SignedIn>
  )
}

export function Shell({ children }: { children: ReactNode }) {
  const { app, nav } = useWords()
  const { wholePage } = useDevice()
  const { pathname } = useLocation()
  const main = useRef<HTMLElement>(null)
  useKeepPostsLive()
  useEndWithConnection()

  // Moves the focus to the content of a new page, for keyboards and screen readers.
  const first = useRef(true)
  useEffect(() => {
    if (!first.current && wholePage && pathname) main.current?.focus({ preventScroll: true })
    first.current = false
  }, [pathname, wholePage])

  return (
    <div className={styles.inner}>
      <button type="button" className={styles.skip} onClick={() => main.current?.focus()}>
        {app.skip}
      </button>
      <header className={styles.header}>
        <Link to="/" className={styles.brand} aria-label={app.name}>
          <img src="icon.svg" alt="" />
          <span>{app.name}</span>
        </Link>
        <SearchBox />
        <div className={styles.end}>
          <ConnectionStatus />
          <BellButton />
          <AccountMenu />
        </div>
      </header>
      <div className={`${styles.page} ${pathname.startsWith('/settings') ? styles.wide : ''}`}>
        <nav className={styles.rail} aria-label={nav.main}>
          <NavLinks />
        </nav>
        <main ref={main} tabIndex={-1} className={styles.main}>
          <Refusals />
          {children}
        </main>
      </div>
      <nav className={styles.bottom} aria-label={nav.main}>
        <NavLinks short />
      </nav>
      <Toaster />
      {wholePage && <PageBadge />}
    </div>
  )
}

/** Ends a session that was revoked elsewhere. */
function useEndWithConnection(): void {
  const { session } = useDevice()
  const { status } = useConnection()
  useEffect(() => {
    if (status === 'signedOut') void session.end()
  }, [status, session])
}

function PageBadge() {
  const go = useGo()
  useBadge()
  usePushClicks(go)
  return null
}

function NavLinks({ short = false }: { short?: boolean }) {
  const { nav } = useWords()
  const { badge } = useFormat()
  const { session } = useDevice()
  const unread = useUnreadCount()
  const links = [
    { to: '/', icon: Home, label: nav.home },
    { to: '/search', icon: Search, label: nav.search },
    // On small screens, the header already contains the bell.
    ...(short ? [] : ([{ to: '/notifications', icon: Bell, label: nav.notifications, count: unread }] as const)),
    { to: '/bookmarks', icon: Bookmark, label: nav.bookmarks },
    ...(short ? [] : ([{ to: '/settings', icon: Settings, label: nav.settings }] as const)),
  ] as const
  return (
    <>
      {links.map(({ to, icon: Icon, label, ...rest }) => (
        <Link key={to} to={to} activeOptions={{ exact: to === '/', includeSearch: false }}>
          <Icon aria-hidden="true" />
          {label}
          {'count' in rest && rest.count > 0 && (
            <span className={styles.count} aria-hidden="true">
              {badge(rest.count)}
            </span>
          )}
        </Link>
      ))}
      <Link to="/users/$userId" params={{ userId: session.user.id }}>
        <User aria-hidden="true" />
        {nav.profile}
      </Link>
    </>
  )
}

function SearchBox() {
  const { nav } = useWords()
  const navigate = useNavigate()
  const search = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const q = String(new FormData(event.currentTarget).get('q')).trim()
    if (q) void navigate({ to: '/search', search: { q } })
  }
  return (
    <search className={styles.search}>
      <form onSubmit={search}>
        <Search aria-hidden="true" />
        <input name="q" type="search" maxLength={100} aria-label={nav.searchLabel} placeholder={nav.searchLabel} />
      </form>
    </search>
  )
}
