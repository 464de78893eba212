/** Payload of a push message, described in docs/web-push.md. */
export type PushMessage = {
  id: string
  state: string
  unreadCount: number
  title: string
  body: string | null
  url: string | null
  tag: string
  silent: boolean
  /** Tags of shown messages whose notification is read or retracted. */
  close: string[]
}

export type PushOptions = {
  /** URL of the picture beside each message. */
  icon?: string
  /** URL of the small picture in the status bar. */
  badge?: string
  /** URL that a message without `url` opens. Default: / */
  home?: string
}

/** The part of a service worker's scope that this module uses. */
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
  // Declared by hand, because this package does not load the types of service workers.
  addEventListener(type: string, listener: (event: never) => void): void
}
type OpenPage = { url: string; focused?: boolean; focus?(): Promise<unknown>; postMessage(message: unknown): void }
type PushEvent = { data: { json(): PushMessage } | null; waitUntil(work: Promise<unknown>): void }
type ClickEvent = {
  notification: { data?: { id?: string; url?: string }; close(): void }
  waitUntil(work: Promise<unknown>): void
}

/** Query parameter that contains the opened notification. `followPush` reads it. */
const OPENED = 'rp-opened'

/**
 * Handles push messages in the application's service worker: `handlePush(self)`. A message replaces the previous one with its
 * tag, closes read or retracted ones, and sets the app badge. A click focuses an open page or opens one.
 */
export function handlePush(scope: object, options: PushOptions = {}): void {
  // Cast, because a project loads the types of service workers or of pages, not both.
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

/** Browsers require a visible message for each push. A push that only closes others therefore shows the newest state silently. */
async function show({ registration }: WorkerScope, message: PushMessage, options: PushOptions): Promise<void> {
  const { id, title, body, url, tag, silent } = message
  await registration.showNotification(title, {
    body: body ?? undefined,
    tag,
    // A grown group makes a sound again, unless it is silent.
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
