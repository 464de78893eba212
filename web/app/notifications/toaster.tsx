import { Link, useLocation } from '@tanstack/react-router'
import { X } from 'lucide-react'
import type { InboxItem } from 'ravenpost-client'
import { useToasts } from 'ravenpost-client/react'
import { IconButton } from '../../ui/button.tsx'
import { useWords } from '../words/words.tsx'
import { Lead, useOpen } from './item.tsx'
import styles from './notifications.module.css'
import { NotificationText } from './text.tsx'

/**
 * Shows at most three toasts. A toast changes with its group, and disappears when its notification is read or retracted
 * anywhere.
 */
export function Toaster() {
  const { app, notifications } = useWords()
  const { pathname } = useLocation()
  const { toasts, more, dismiss, pause } = useToasts({
    // Critical notifications are shown on any page.
    isOnScreen: ({ url, priority }) =>
      priority !== 'critical' &&
      (pathname === '/notifications' ||
        url?.split('#')[0] === pathname ||
        document.querySelector('[data-bell]:popover-open') !== null),
  })
  return (
    // The live region exists from the start, so that screen readers read its later content.
    <div
      className={styles.toasts}
      role="status"
      aria-label={notifications.title}
      onPointerEnter={() => pause(true)}
      onPointerLeave={() => pause(false)}
      onFocus={() => pause(true)}
      onBlur={() => pause(false)}
    >
      {toasts.map((item) => (
        <Toast key={item.id} item={item} closeLabel={app.close} dismiss={() => dismiss(item.id)} />
      ))}
      {more > 0 && (
        <Link to="/notifications" className={styles.moreToasts}>
          {notifications.moreToasts(more)}
        </Link>
      )}
    </div>
  )
}

function Toast({ item, closeLabel, dismiss }: { item: InboxItem; closeLabel: string; dismiss(): void }) {
  const open = useOpen(item, dismiss)
  const critical = item.priority === 'critical'
  return (
    <div className={styles.toast} data-critical={critical} data-toast={item.id} role={critical ? 'alert' : undefined}>
      <Lead item={item} />
      <div className={styles.content}>
        <button type="button" className={styles.open} onClick={open} dir="auto">
          <span className={styles.text}>
            <NotificationText notification={item} />
          </span>
          {item.body && (
            <span className={styles.sub}>
              <span className={styles.preview}>{item.body}</span>
            </span>
          )}
        </button>
      </div>
      <IconButton label={closeLabel} onClick={dismiss}>
        <X aria-hidden="true" />
      </IconButton>
    </div>
  )
}
