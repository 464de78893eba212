import { Link, useParams } from '@tanstack/react-router'
import type { ComponentType } from 'react'
import { NotFound } from '../shell/boundary.tsx'
import { useTitle } from '../shell/title.ts'
import { useWords } from '../words/words.tsx'
import { AccountSection, SessionsSection } from './account-section.tsx'
import { LookSection } from './look-section.tsx'
import { NotificationsSection } from './notifications-section.tsx'
import { PeopleSection } from './people-section.tsx'
import { PushSection } from './push-section.tsx'
import { QuietSection } from './quiet-section.tsx'
import styles from './settings.module.css'

const sections = {
  notifications: NotificationsSection,
  quiet: QuietSection,
  push: PushSection,
  people: PeopleSection,
  account: AccountSection,
  sessions: SessionsSection,
  look: LookSection,
} satisfies Record<string, ComponentType>
type Section = keyof typeof sections

export function SettingsPage() {
  const { settings } = useWords()
  const { section = 'notifications' } = useParams({ strict: false })
  useTitle(settings.title)
  const Content = Object.entries(sections).find(([name]) => name === section)?.[1]
  return (
    <>
      <h1>{settings.title}</h1>
      <div className={styles.page}>
        <nav className={styles.sections} aria-label={settings.title}>
          {(Object.keys(sections) as Section[]).map((name) => (
            <Link
              key={name}
              to="/settings/$section"
              params={{ section: name }}
              aria-current={name === section ? 'page' : undefined}
              resetScroll={false}
            >
              {settings.sections[name]}
            </Link>
          ))}
        </nav>
        <div className={styles.content}>{Content ? <Content /> : <NotFound />}</div>
      </div>
    </>
  )
}
