import type { InboxItem, Ravenpost, Store } from './ravenpost.ts'
import { createStore } from './stores.ts'

export type ToastOptions = {
  /** Maximum number of toasts. Default: 3. `more` counts the others. */
  limit?: number
  /** Seconds a toast stays after its last change. Default: 6. A critical toast stays until it is dismissed. */
  seconds?: number
  /** Suppresses the toast if true. Default: true if `url` is the URL of the page. */
  isOnScreen?(notification: InboxItem): boolean
}

export type ToastsSnapshot = { toasts: readonly InboxItem[]; more: number }

export type Toasts = Store<ToastsSnapshot> & {
  dismiss(id: string): void
  dismissAll(): void
  /** While paused, toasts do not expire. For hover and focus. */
  pause(isPaused: boolean): void
}

const NONE: ToastsSnapshot = { toasts: [], more: 0 }
/** Extra milliseconds per character, because longer texts take longer to read. */
const MS_PER_CHARACTER = 25
/** The first change shows at once. A group that grows quickly then changes its toast four times a second. */
const PACE_MS = 250

/**
 * Shows a toast for each notification that arrives live and is not silent. The toast updates as its group grows, and disappears
 * when the notification is read, archived or retracted on any device. Active while it has subscribers.
 */
export function createToasts(client: Ravenpost, options: ToastOptions = {}): Toasts {
  const { limit = 3, seconds = 6, isOnScreen = isThisPage } = options
  const ends = new Map<string, number>()
  const store = createStore<ToastsSnapshot>(NONE)
  let timer: ReturnType<typeof setTimeout> | undefined
  let later: ReturnType<typeof setTimeout> | undefined
  let shownAt = 0
  let isPaused = false
  let users = 0
  let stop = () => {}

  const show = () => {
    clearTimeout(later)
    later = undefined
    shownAt = Date.now()
    const items = [...ends.keys()].flatMap((id) => client.get(id) ?? [])
    const toasts = items.filter(({ readAt, archivedAt }) => readAt === null && archivedAt === null)
    const kept = new Set(toasts.map(({ id }) => id))
    for (const id of ends.keys()) if (!kept.has(id)) ends.delete(id)
    const before = store.getSnapshot()
    const next = { toasts: toasts.slice(-limit), more: Math.max(0, toasts.length - limit) }
    const isSame = next.more === before.more && next.toasts.length === before.toasts.length
    if (!isSame || next.toasts.some((item, index) => item !== before.toasts[index])) store.set(next)
    schedule()
  }
  const showPaced = () => {
    const wait = shownAt + PACE_MS - Date.now()
    if (wait <= 0) show()
    else later ??= setTimeout(show, wait)
  }
  const schedule = () => {
    clearTimeout(timer)
    const next = Math.min(...ends.values())
    if (isPaused || next === Number.POSITIVE_INFINITY) return
    timer = setTimeout(expire, Math.max(0, next - Date.now()))
  }
  const expire = () => {
    const now = Date.now()
    for (const [id, end] of ends) if (end <= now) ends.delete(id)
    show()
  }
  const endOf = ({ priority, title, body }: InboxItem) => {
    if (priority === 'critical') return Number.POSITIVE_INFINITY
    return Date.now() + seconds * 1000 + (title.length + (body?.length ?? 0)) * MS_PER_CHARACTER
  }
  const begin = () => {
    const endListening = client.on('notification', ({ notification, grew, live }) => {
      const isNews =
        live && grew && !notification.silent && notification.readAt === null && notification.archivedAt === null
      if (!isNews || !isPageOfUser() || isOnScreen(notification)) return
      ends.delete(notification.id)
      ends.set(notification.id, endOf(notification))
      showPaced()
    })
    const endFollowing = client.subscribe(() => ends.size > 0 && showPaced())
    const endFocus = followFocus()
    stop = () => {
      for (const end of [endListening, endFollowing, endFocus]) end()
      clearTimeout(timer)
      clearTimeout(later)
      later = undefined
      ends.clear()
      store.set(NONE)
    }
  }

  return {
    getSnapshot: store.getSnapshot,
    subscribe(listener) {
      users += 1
      if (users === 1) begin()
      const unsubscribe = store.subscribe(listener)
      return () => {
        unsubscribe()
        users -= 1
        if (users === 0) stop()
      }
    },
    dismiss(id) {
      ends.delete(id)
      show()
    },
    dismissAll() {
      ends.clear()
      show()
    },
    pause(value) {
      if (isPaused === value) return
      isPaused = value
      // Toasts that expired during the pause stay two seconds longer.
      const soon = Date.now() + 2000
      if (!isPaused) for (const [id, end] of ends) ends.set(id, Math.max(end, soon))
      schedule()
    },
  }
}

const FOCUS_KEY = 'ravenpost:focus'
const pageId = Math.random().toString(36).slice(2)

/** True if this tab has the focus, or was the last tab to have it. */
function isPageOfUser(): boolean {
  if (typeof document === 'undefined') return true
  if (document.visibilityState !== 'visible') return false
  return document.hasFocus() || (readFocus() ?? pageId) === pageId
}

function followFocus(): () => void {
  if (typeof document === 'undefined') return () => {}
  const note = () => {
    try {
      localStorage.setItem(FOCUS_KEY, pageId)
    } catch {
      // The browser blocks storage for this page, so each visible tab shows its own toasts.
    }
  }
  if (document.hasFocus()) note()
  addEventListener('focus', note)
  return () => removeEventListener('focus', note)
}

function readFocus(): string | null {
  try {
    return localStorage.getItem(FOCUS_KEY)
  } catch {
    return null
  }
}

function isThisPage({ url }: InboxItem): boolean {
  if (url === null || typeof location === 'undefined') return false
  const { origin, pathname } = new URL(url, location.href)
  return origin === location.origin && pathname === location.pathname
}
