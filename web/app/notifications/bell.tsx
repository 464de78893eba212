import { Link } from '@tanstack/react-router'
import { Bell, BellDot, BellOff, CheckCheck, Settings } from 'lucide-react'
import type { Filter } from 'ravenpost-client'
import { useConnection, useInbox, useRavenpost, useUnreadCount } from 'ravenpost-client/react'
import { type ToggleEvent, useEffect, useId, useRef, useState, useSyncExternalStore } from 'react'
import { Button, IconButton, iconClass } from '../../ui/button.tsx'
import { Alert, Empty, Loading } from '../../ui/notes.tsx'
import { Tabs } from '../../ui/tabs.tsx'
import { explain } from '../problem.ts'
import { useFormat, useWords } from '../words/words.tsx'
import { NotificationItem } from './item.tsx'
import { useListKeys } from './keys.tsx'
import styles from './notifications.module.css'
import { useSeen } from './seen.ts'
import { useSteady } from './steady.ts'
import { WhyDialog } from './why-dialog.tsx'

type Tab = 'all' | 'unread' | 'mentions' | 'requests'

const filters: Record<Tab, Filter> = {
  all: {},
  unread: { filter: 'unread' },
  mentions: { type: 'user.mentioned' },
  requests: { filter: 'filtered' },
}

export function BellButton() {
  const { notifications } = useWords()
  const { badge } = useFormat()
  const unread = useUnreadCount()
  const [open, setOpen] = useState(false)
  const [why, setWhy] = useState<string | undefined>(undefined)
  const id = useId()
  const panel = useRef<HTMLDivElement>(null)
  const { troubled } = useConnection()
  const Icon = troubled ? BellOff : unread > 0 ? BellDot : Bell
  // Places the popover below its button, of which the demo has two.
  const toggled = (event: ToggleEvent<HTMLElement>) => {
    setOpen(event.newState === 'open')
    const at = document.querySelector(`[popovertarget="${id}"]`)?.getBoundingClientRect()
    if (!at || !panel.current || event.newState !== 'open') return
    const rtl = getComputedStyle(panel.current).direction === 'rtl'
    const width = Math.min(416, window.innerWidth - 16)
    const left = rtl ? at.left : at.right - width
    panel.current.style.top = `${at.bottom + 8}px`
    panel.current.style.left = `${Math.min(Math.max(8, left), window.innerWidth - width - 8)}px`
  }
  return (
    <>
      <IconButton
        className={styles.bell ?? ''}
        label={notifications.bell(unread)}
        popoverTarget={id}
        aria-expanded={open}
        aria-controls={id}
        data-unread={unread}
      >
        <Icon aria-hidden="true" />
        {unread > 0 && (
          <span className={styles.badge} aria-hidden="true">
            {badge(unread)}
          </span>
        )}
      </IconButton>
      <section
        ref={panel}
        id={id}
        popover="auto"
        data-bell
        className={styles.panel}
        aria-label={notifications.title}
        onToggle={toggled}
      >
        {open && <BellPanel close={() => panel.current?.hidePopover()} onWhy={setWhy} />}
      </section>
      {why !== undefined && <WhyDialog id={why} onClose={() => setWhy(undefined)} />}
    </>
  )
}

export function BellPanel({ close, onWhy }: { close(): void; onWhy(id: string): void }) {
  const words = useWords()
  const { notifications, app, connection } = words
  const client = useRavenpost()
  const unread = useUnreadCount()
  const [tab, setTab] = useState<Tab>('all')
  const [held, setHeld] = useState(false)
  const list = useInbox(filters[tab])
  const { shown, fresh, show } = useSteady(list.items, held)
  const id = useId()
  const requests = useInbox(filters.requests).items.length
  const { onKeyDown, keysDialog } = useListKeys()
  useSeen(list.items)
  const { status } = useConnection()
  const { pendingCount, isStored } = useSyncExternalStore(client.counts.subscribe, client.counts.getSnapshot)

  const why = (item: string) => {
    close()
    onWhy(item)
  }
  const { tabs, withCount } = notifications
  return (
    <>
      <div className={styles.top}>
        <h2>{notifications.title}</h2>
        <div style={{ display: 'flex' }}>
          <IconButton label={notifications.readAll} disabled={unread === 0} onClick={() => void client.readAll()}>
            <CheckCheck aria-hidden="true" />
          </IconButton>
          <Link
            to="/settings/$section"
            params={{ section: 'notifications' }}
            className={iconClass}
            aria-label={notifications.settings}
            title={notifications.settings}
            onClick={close}
          >
            <Settings aria-hidden="true" />
          </Link>
        </div>
      </div>
      <div className={styles.tabs}>
        <Tabs<Tab>
          label={notifications.title}
          value={tab}
          controls={id}
          onChange={setTab}
          tabs={[
            { value: 'all', label: tabs.all },
            { value: 'unread', label: withCount(tabs.unread, unread) },
            { value: 'mentions', label: tabs.mentions },
            { value: 'requests', label: withCount(tabs.requests, requests) },
          ]}
        />
      </div>
      <div
        id={id}
        role="tabpanel"
        aria-label={tabs[tab]}
        className={styles.scroll}
        onPointerEnter={() => setHeld(true)}
        onPointerLeave={() => setHeld(false)}
      >
        {fresh > 0 && (
          <div className={styles.fresh}>
            <button type="button" onClick={show}>
              {notifications.fresh(fresh)}
            </button>
          </div>
        )}
        <ul onKeyDown={onKeyDown}>
          {shown.map((item) => (
            <NotificationItem key={item.id} item={item} onWhy={why} onOpen={close} />
          ))}
        </ul>
        {list.status === 'loading' && <Loading label={app.loading} />}
        {list.status === 'error' && (
          <Alert>
            {explain(list.error, words)}
            <Button onClick={() => void list.refresh()}>{app.retry}</Button>
          </Alert>
        )}
        {list.status === 'ready' && shown.length === 0 && <NothingHere tab={tab} />}
      </div>
      <div className={styles.foot}>
        <span role="status">
          {pendingCount > 0
            ? isStored
              ? connection.saved
              : connection.unsaved
            : status === 'live'
              ? connection.upToDate
              : status === 'offline' || status === 'waiting'
                ? connection.offline
                : connection.catchingUp}
        </span>
        <Link to="/notifications" search={tab === 'all' || tab === 'mentions' ? {} : { show: tab }} onClick={close}>
          {notifications.openAll}
        </Link>
      </div>
      {keysDialog}
    </>
  )
}

export function NothingHere({ tab }: { tab: Tab | 'archived' }) {
  const { notifications: words } = useWords()
  if (tab === 'requests') return <Empty title={words.emptyRequests}>{words.emptyRequestsHint}</Empty>
  if (tab === 'archived') return <Empty title={words.emptyArchived} />
  if (tab === 'unread') return <Empty icon={<CheckCheck aria-hidden="true" />} title={words.emptyUnread} />
  return (
    <Empty icon={<Bell aria-hidden="true" />} title={words.empty}>
      {words.emptyHint}
    </Empty>
  )
}

/** Nothing counts as seen while the tab is hidden. */
export function useVisible(): boolean {
  const [visible, setVisible] = useState(() => document.visibilityState === 'visible')
  useEffect(() => {
    const look = () => setVisible(document.visibilityState === 'visible')
    document.addEventListener('visibilitychange', look)
    return () => document.removeEventListener('visibilitychange', look)
  }, [])
  return visible
}
