import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { Archive, ArchiveRestore, CheckCheck, Keyboard, MailOpen, Settings, Trash2 } from 'lucide-react'
import type { Filter, InboxItem } from 'ravenpost-client'
import { useInbox, useRavenpost, useUnreadCount } from 'ravenpost-client/react'
import { lazy, Suspense, useState } from 'react'
import { Button, IconButton, iconClass } from '../../ui/button.tsx'
import { Alert, Loading } from '../../ui/notes.tsx'
import { tabClass, tabsClass } from '../../ui/tabs.tsx'
import { demoEnabled } from '../demo/enabled.ts'
import { More } from '../posts/list.tsx'
import { explain } from '../problem.ts'
import { useTitle } from '../shell/title.ts'
import { useWords } from '../words/words.tsx'
import { NothingHere } from './bell.tsx'
import { NotificationItem } from './item.tsx'
import { useListKeys } from './keys.tsx'
import styles from './notifications.module.css'
import { Rows } from './rows.tsx'
import { useSeen } from './seen.ts'
import type { Show } from './shows.ts'
import { useSteady } from './steady.ts'
import { kindOf, titleOf } from './text.tsx'
import { WhyDialog } from './why-dialog.tsx'

const Tester = lazy(() => import('../demo/tester.tsx').then(({ Tester }) => ({ default: Tester })))

const kinds = [
  'post.liked',
  'comment.created',
  'comment.replied',
  'user.mentioned',
  'user.followed',
  'post.published',
  'system',
]

/** The notification centre: all lists, filtered by type, with actions on many notifications at once. */
export function NotificationsPage() {
  const words = useWords()
  const { notifications, app } = words
  const { show, type, why } = useSearch({ from: '/user/notifications' })
  const navigate = useNavigate()
  const search = (change: { type?: string | undefined; why?: string | undefined }) =>
    void navigate({ to: '/notifications', search: { show, type, why, ...change }, replace: true })
  const client = useRavenpost()
  const unread = useUnreadCount()
  const list = useInbox(filterOf(show, type))
  const [held, setHeld] = useState(false)
  const steady = useSteady(list.items, held)
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set())
  const { onKeyDown, showKeys, keysDialog } = useListKeys()
  useSeen(list.items)
  useTitle(notifications.title)

  const { shown } = steady
  const selected = shown.filter(({ id }) => chosen.has(id)).map(({ id }) => id)
  const setWhy = (id: string | undefined) => search({ why: id })
  const choose = (id: string, on: boolean) =>
    setChosen((old) => new Set(on ? [...old, id] : [...old].filter((each) => each !== id)))
  const tab = (value: Show | undefined, label: string) => (
    <Link
      to="/notifications"
      search={value ? { show: value } : {}}
      className={tabClass}
      activeOptions={{ exact: true }}
      aria-current={show === value ? 'page' : undefined}
      onClick={() => setChosen(new Set())}
    >
      {label}
    </Link>
  )
  const { tabs, withCount } = notifications
  return (
    <>
      <div className={styles.heading}>
        <h1>{notifications.title}</h1>
        <div style={{ display: 'flex', gap: 8 }}>
          <Button disabled={unread === 0} onClick={() => void client.readAll()}>
            <CheckCheck aria-hidden="true" /> {notifications.readAll}
          </Button>
          <IconButton label={notifications.keys.title} onClick={showKeys}>
            <Keyboard aria-hidden="true" />
          </IconButton>
          <Link
            to="/settings/$section"
            params={{ section: 'notifications' }}
            className={iconClass}
            aria-label={notifications.settings}
            title={notifications.settings}
          >
            <Settings aria-hidden="true" />
          </Link>
        </div>
      </div>
      <div className={styles.filters}>
        <nav className={tabsClass} aria-label={notifications.title}>
          {tab(undefined, tabs.all)}
          {tab('unread', withCount(tabs.unread, unread))}
          {tab('requests', tabs.requests)}
          {tab('archived', tabs.archived)}
        </nav>
        <select
          aria-label={notifications.byType}
          value={type ?? ''}
          onChange={({ target }) => search({ type: target.value || undefined })}
        >
          <option value="">{notifications.allTypes}</option>
          {kinds.map((kind) => (
            <option key={kind} value={kind}>
              {kindOf(kind, words)}
            </option>
          ))}
        </select>
      </div>
      {show === 'requests' && <p className={styles.hint}>{notifications.requestsHint}</p>}
      {selected.length > 0 && (
        <BulkBar
          ids={selected}
          archived={show === 'archived'}
          clear={() => setChosen(new Set())}
          selectAll={() => setChosen(new Set(shown.map(({ id }) => id)))}
        />
      )}
      <div
        className={styles.card}
        onPointerEnter={() => setHeld(true)}
        onPointerLeave={() => setHeld(false)}
        data-testid="notifications"
      >
        {steady.fresh > 0 && (
          <div className={styles.fresh}>
            <button type="button" onClick={steady.show}>
              {notifications.fresh(steady.fresh)}
            </button>
          </div>
        )}
        <Rows items={shown} onKeyDown={onKeyDown}>
          {(item) => (
            <NotificationItem
              key={item.id}
              item={item}
              onWhy={setWhy}
              lead={<Checkbox item={item} checked={chosen.has(item.id)} onChange={(on) => choose(item.id, on)} />}
            />
          )}
        </Rows>
        {list.status === 'loading' && <Loading label={app.loading} />}
        {list.status === 'error' && (
          <Alert>
            {explain(list.error, words)}
            <Button onClick={() => void list.refresh()}>{app.retry}</Button>
          </Alert>
        )}
        {list.status === 'ready' && shown.length === 0 && <NothingHere tab={show ?? 'all'} />}
      </div>
      {list.hasMore && <More busy={list.isLoadingMore} more={() => void list.loadMore()} />}
      {demoEnabled && (
        <Suspense>
          <Tester />
        </Suspense>
      )}
      {keysDialog}
      {why !== undefined && <WhyDialog id={why} onClose={() => setWhy(undefined)} />}
    </>
  )
}

function filterOf(show: Show | undefined, type: string | undefined): Filter {
  const kind = type === undefined ? {} : { type }
  if (show === undefined) return kind
  return { filter: show === 'requests' ? 'filtered' : show, ...kind }
}

function Checkbox({ item, checked, onChange }: { item: InboxItem; checked: boolean; onChange(on: boolean): void }) {
  const words = useWords()
  return (
    <input
      type="checkbox"
      checked={checked}
      aria-label={words.notifications.selectOne(titleOf(item, words))}
      onChange={({ target }) => onChange(target.checked)}
    />
  )
}

type BulkBarProps = { ids: string[]; archived: boolean; clear(): void; selectAll(): void }

/** Each button contains the number of notifications that it changes. */
function BulkBar({ ids, archived, clear, selectAll }: BulkBarProps) {
  const { notifications: words } = useWords()
  const client = useRavenpost()
  const act = (run: (ids: string[]) => Promise<void>) => () => {
    void run(ids)
    clear()
  }
  return (
    <div className={styles.bulk} role="toolbar" aria-label={words.bulk}>
      <span role="status">{words.selected(ids.length)}</span>
      <Button kind="quiet" onClick={selectAll}>
        {words.selectAll}
      </Button>
      <Button onClick={act((chosen) => client.read(chosen))}>
        <MailOpen aria-hidden="true" /> {words.readN(ids.length)}
      </Button>
      {archived ? (
        <Button onClick={act((chosen) => client.unarchive(chosen))}>
          <ArchiveRestore aria-hidden="true" /> {words.unarchiveN(ids.length)}
        </Button>
      ) : (
        <Button onClick={act((chosen) => client.archive(chosen))}>
          <Archive aria-hidden="true" /> {words.archiveN(ids.length)}
        </Button>
      )}
      <Button kind="danger" onClick={act((chosen) => client.delete(chosen))}>
        <Trash2 aria-hidden="true" /> {words.deleteN(ids.length)}
      </Button>
      <Button kind="quiet" onClick={clear}>
        {words.clear}
      </Button>
    </div>
  )
}
