/** Payload of a push message; docs/web-push.md. */
export type PushMessage = {
  id: string
  state: string
  unreadCount: number
  title: string
  body: string | null
  url: string | null
  tag: string
  silent: boolean
  /** Tags of shown messages that are read or retracted. */
  close: string[]
}

export type PushOptions = {
  /** Of the picture beside each message. */
  icon?: string
  /** Of the small picture in the status bar. */
  badge?: string
  /** Where a message without `url` leads; / by default. */
  home?: string
}

/** What is used of a service worker's scope. */
type WorkerScope = {
  location: { href: string; origin: string }
  navigator: { setAppBadge?(count: number): Promise<void>; clearAppBadge?(): Promise<void> }
  registration: {
    showNotification(title: string, options: object): Promise<void>
    getNotifications(): Promise<{ tag: string; close(): void }[]>
  }
  clients: {
    matchAll(options: object): Promise<readonly OpenPage[]>
    openWindow(url: string): Promise<unknown>
  }
  // An event of a service worker: this package does not bring their types.
  addEventListener(type: string, listener: (event: never) => void): void
}
type OpenPage = { url: string; focused?: boolean; focus?(): Promise<unknown>; postMessage(message: unknown): void }
type PushEvent = { data: { json(): PushMessage } | null; waitUntil(work: Promise<unknown>): void }
type ClickEvent = {
  notification: { data?: { id?: string; url?: string }; close(): void }
  waitUntil(work: Promise<unknown>): void
}

/** Parameter by which the page learns what was opened; `followPush` reads it. */
const OPENED = 'rp-opened'

/**
 * For the application's own service worker: `handlePush(self)`. A message replaces the former one of its tag, closes what is
 * read or retracted, and sets the app badge; a click brings up a page that is open, or opens one.
 */
export function handlePush(scope: object, options: PushOptions = {}): void {
  // Of a service worker, whose types exclude those of pages: a project has either.
  const self = scope as WorkerScope
  self.addEventListener('push', (event: PushEvent) => {
    const message = event.data?.json()
    if (message)
      event.waitUntil(Promise.all([close(self, message), show(self, message, options), count(self, message)]))
  })
  self.addEventListener('notificationclick', (event: ClickEvent) => {
    event.notification.close()
    const { id, url = options.home ?? '/' } = event.notification.data ?? {}
    event.waitUntil(open(self, new URL(url, self.location.href), id))
  })
}

/** Browsers want every message shown, also one that only closes others: it shows the newest state in silence. */
async function show({ registration }: WorkerScope, message: PushMessage, options: PushOptions): Promise<void> {
  const { id, title, body, url, tag, silent } = message
  await registration.showNotification(title, {
    body: body ?? undefined,
    tag,
    // A group that grew is worth a sound; what was silent stays so.
    renotify: !silent,
    silent,
    icon: options.icon,
    badge: options.badge,
    data: { id, url: url ?? undefined },
  })
}

async function close({ registration }: WorkerScope, { close, tag }: PushMessage): Promise<void> {
  for (const shown of await registration.getNotifications())
    if (shown.tag !== tag && close?.includes(shown.tag)) shown.close()
}

async function count({ navigator }: WorkerScope, { unreadCount }: PushMessage): Promise<void> {
  const set = unreadCount > 0 ? navigator.setAppBadge?.(unreadCount) : navigator.clearAppBadge?.()
  await set?.catch(() => {})
}

async function open({ clients, location }: WorkerScope, url: URL, id: string | undefined): Promise<void> {
  const pages = await clients.matchAll({ type: 'window', includeUncontrolled: true })
  const page = pages.find(({ focused }) => focused) ?? pages[0]
  if (page?.focus && url.origin === location.origin) {
    page.postMessage({ type: 'ravenpost:open', id, url: url.href.slice(url.origin.length) })
    await page.focus()
    return
  }
  if (id && url.origin === location.origin) url.searchParams.set(OPENED, id)
  await clients.openWindow(url.href)
}
