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
  /** URL of the start page, which a message without `url` opens. URLs that begin with / are below its folder. Default: / */
  home?: string
}

/** The part of a service worker's scope that this module uses. */
type WorkerScope = {
  location: { href: string }
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
type OpenPage = {
  url: string
  focused?: boolean
  focus?(): Promise<unknown>
  postMessage(message: unknown, transfer: MessagePort[]): void
}
type PushEvent = { data: { json(): PushMessage } | null; waitUntil(work: Promise<unknown>): void }
type ClickEvent = {
  notification: { data?: { id?: string; url?: string }; close(): void }
  waitUntil(work: Promise<unknown>): void
}

/** Milliseconds in which an open page answers a click. A page without `followPush` or in a frozen tab does not. */
const ANSWER_MS = 500

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
    const { id, url } = event.notification.data ?? {}
    const home = new URL(options.home ?? '/', self.location.href)
    const target = url === undefined ? home : new URL(url.replace(/^\//, './'), home)
    event.waitUntil(open(self, new URL('.', home).href, target, id))
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

/** Shows the URL in the first open page that answers, the focused one before others, or in a new window. */
async function open({ clients }: WorkerScope, base: string, url: URL, id: string | undefined): Promise<void> {
  if (url.href.startsWith(base)) {
    const pages = await clients.matchAll({ type: 'window', includeUncontrolled: true })
    const message = { type: 'ravenpost:open', id, url: url.href.slice(base.length - 1) }
    for (const page of [...pages].sort((a, b) => Number(b.focused) - Number(a.focused)))
      if (page.url.startsWith(base) && page.focus && (await isTaken(page, message))) return void (await page.focus())
    if (id) url.searchParams.set(OPENED, id)
  }
  await clients.openWindow(url.href)
}

/** Asks a page. It acts only after a second message, so that a page that answers too late does nothing. */
function isTaken(page: OpenPage, message: object): Promise<boolean> {
  const { port1, port2 } = new MessageChannel()
  return new Promise((resolve) => {
    const giveUp = setTimeout(() => {
      port1.close()
      resolve(false)
    }, ANSWER_MS)
    port1.onmessage = () => {
      clearTimeout(giveUp)
      port1.postMessage(true)
      resolve(true)
    }
    page.postMessage(message, [port2])
  })
}
