import {
  Archive,
  ArchiveRestore,
  CircleHelp,
  Ellipsis,
  Info,
  Mail,
  MailOpen,
  Settings2,
  ShieldAlert,
  Trash2,
} from 'lucide-react'
import type { InboxItem } from 'ravenpost-client'
import { useRavenpost } from 'ravenpost-client/react'
import { memo, type ReactNode } from 'react'
import { Faces } from '../../ui/avatar.tsx'
import { IconButton } from '../../ui/button.tsx'
import { Menu } from '../../ui/menu.tsx'
import { Time } from '../../ui/time.tsx'
import { MuteItem } from '../people/mute-item.tsx'
import { useGo } from '../routes.tsx'
import { useWords } from '../words/words.tsx'
import styles from './notifications.module.css'
import { NotificationText, titleOf } from './text.tsx'

type ItemProps = {
  item: InboxItem
  /** Content before the pictures, such as a checkbox. */
  lead?: ReactNode
  onWhy(id: string): void
  /** Called when a click leads to another page. */
  onOpen?(): void
}

/** One notification. A click on the row opens it and marks it as read; other actions are buttons above the row. */
export const NotificationItem = memo(function NotificationItem({ item, lead, onWhy, onOpen }: ItemProps) {
  const words = useWords()
  const { notifications } = words
  const client = useRavenpost()
  const unread = item.readAt === null
  const open = useOpen(item, onOpen)
  return (
    <li className={styles.item} data-unread={unread} data-id={item.id}>
      <div className={styles.lead}>
        {lead}
        <Lead item={item} />
      </div>
      <div className={styles.content}>
        <a href={hrefOf(item)} className={styles.text} onClick={open} dir="auto">
          <NotificationText notification={item} />
          {unread && <span className="visually-hidden"> {notifications.unread}</span>}
        </a>
        <span className={styles.sub}>
          {item.body && (
            <span className={styles.preview} dir="auto">
              “{item.body}”
            </span>
          )}
          <Time at={item.updatedAt} />
          {item.silent && ` · ${notifications.silent}`}
          {item.pending && ` · ${notifications.pending}`}
        </span>
      </div>
      <div className={styles.side}>
        <Picture item={item} />
        <IconButton
          className={styles.quick}
          label={unread ? notifications.read : notifications.markUnread}
          onClick={() => void (unread ? client.read([item.id]) : client.unread([item.id]))}
        >
          {unread ? <MailOpen aria-hidden="true" /> : <Mail aria-hidden="true" />}
        </IconButton>
        {unread && <span className={styles.dot} data-pending={item.pending ?? false} aria-hidden="true" />}
        <ItemMenu item={item} title={titleOf(item, words)} onWhy={onWhy} />
      </div>
    </li>
  )
})

export function Lead({ item }: { item: InboxItem }) {
  if (item.actors.length > 0) return <Faces users={item.actors} />
  const Sign = item.priority === 'critical' || item.severity === 'error' ? ShieldAlert : Info
  return (
    <span className={styles.symbol} data-severity={item.severity}>
      <Sign aria-hidden="true" />
    </span>
  )
}

function Picture({ item }: { item: InboxItem }) {
  const { mediaId } = item.data
  if (typeof mediaId !== 'string') return null
  return <img className={styles.thumb} src={`media/${mediaId}/stream`} alt="" loading="lazy" />
}

/** URL of the row's link, for a new tab; a normal click stays in the app. */
function hrefOf({ url }: InboxItem): string {
  if (url === null) return 'notifications'
  return url.replace(/^\//, '')
}

/** Marks the notification as read at once, and opens its page. */
export function useOpen(item: InboxItem, after?: () => void) {
  const client = useRavenpost()
  const go = useGo()
  return (event: { preventDefault(): void; metaKey: boolean; ctrlKey: boolean }) => {
    if (item.readAt === null) void client.read([item.id])
    if (event.metaKey || event.ctrlKey) return
    event.preventDefault()
    after?.()
    if (item.url !== null) go(item.url)
  }
}

function ItemMenu({ item, title, onWhy }: { item: InboxItem; title: string; onWhy(id: string): void }) {
  const { app, notifications: words } = useWords()
  const client = useRavenpost()
  const go = useGo()
  const ids = [item.id]
  const entry = (Icon: typeof Mail, text: string, act: () => unknown, danger = false) => (
    <button type="button" role="menuitem" data-danger={danger || undefined} onClick={() => void act()}>
      <Icon aria-hidden="true" /> {text}
    </button>
  )
  return (
    <div>
      <Menu
        label={app.moreActions(title)}
        trigger={(attributes) => (
          <IconButton label={app.moreActions(title)} {...attributes}>
            <Ellipsis aria-hidden="true" />
          </IconButton>
        )}
      >
        {item.readAt === null
          ? entry(MailOpen, words.read, () => client.read(ids))
          : entry(Mail, words.markUnread, () => client.unread(ids))}
        {item.archivedAt === null
          ? entry(Archive, words.archive, () => client.archive(ids))
          : entry(ArchiveRestore, words.unarchive, () => client.unarchive(ids))}
        {entry(CircleHelp, words.why, () => onWhy(item.id))}
        {item.actors.length === 1 && item.actors[0] && <MuteItem user={item.actors[0]} />}
        {entry(Settings2, words.changeThis, () => go('/settings/notifications'))}
        {entry(Trash2, words.delete, () => client.delete(ids), true)}
      </Menu>
    </div>
  )
}
