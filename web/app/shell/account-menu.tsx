import { Link } from '@tanstack/react-router'
import { Activity, Columns2, LogOut, Monitor, Moon, Settings, Sun, User } from 'lucide-react'
import { Avatar } from '../../ui/avatar.tsx'
import { Menu } from '../../ui/menu.tsx'
import { demoEnabled } from '../demo/enabled.ts'
import { useDevice } from '../device.tsx'
import { useSelf } from '../people/self.ts'
import { useLook, useWords } from '../words/words.tsx'
import styles from './shell.module.css'

export function AccountMenu() {
  const { nav } = useWords()
  const { session, wholePage } = useDevice()
  const self = useSelf()
  const { theme, change } = useLook()
  const next = theme === 'system' ? 'light' : theme === 'light' ? 'dark' : 'system'
  const ThemeIcon = { system: Monitor, light: Sun, dark: Moon }[theme]

  return (
    <Menu
      label={nav.account}
      trigger={(attributes) => (
        <button type="button" className={styles.account} aria-label={nav.account} {...attributes}>
          <Avatar user={self} size={36} />
        </button>
      )}
    >
      <div className={styles.who}>
        <strong>{self.displayName}</strong>
        <small>
          <bdi>@{self.username}</bdi>
        </small>
      </div>
      <Link role="menuitem" to="/users/$userId" params={{ userId: session.user.id }}>
        <User aria-hidden="true" /> {nav.profile}
      </Link>
      <Link role="menuitem" to="/settings">
        <Settings aria-hidden="true" /> {nav.settings}
      </Link>
      <button type="button" role="menuitem" onClick={() => change({ theme: next })}>
        <ThemeIcon aria-hidden="true" /> {nav.theme}: {nav.themes[theme]}
      </button>
      {session.role !== 'user' && wholePage && (
        <Link role="menuitem" to="/console">
          <Activity aria-hidden="true" /> {nav.console}
        </Link>
      )}
      {demoEnabled && wholePage && (
        <Link role="menuitem" to="/demo">
          <Columns2 aria-hidden="true" /> {nav.demo}
        </Link>
      )}
      {wholePage && (
        <>
          <hr />
          <button type="button" role="menuitem" onClick={() => void session.signOut()}>
            <LogOut aria-hidden="true" /> {nav.signOut}
          </button>
        </>
      )}
    </Menu>
  )
}
