import type { Ravenpost } from './ravenpost.ts'

export type BadgeOptions = {
  /** Shows "(3) " before the title of the page. Default: true. */
  title?: boolean
  /** Shows a dot on the favicon. Default: true. The content security policy must allow `img-src data:`. */
  favicon?: boolean
  /** Shows the number on the icon of an installed app. Default: true. */
  app?: boolean
  /** `unseen` becomes 0 when the bell opens, `unread` when everything is read. Default: `unread`. */
  count?: 'unread' | 'unseen'
}

/** Keeps the badges of the page up to date, until the returned function is called. */
export function bindBadge(client: Ravenpost, options: BadgeOptions = {}): () => void {
  const { title = true, favicon = true, app = true, count = 'unread' } = options
  const unfollowTitle = title ? followTitle(() => current) : () => {}
  let current = -1
  const show = () => {
    const { unreadCount, unseenCount } = client.counts.getSnapshot()
    const next = count === 'unread' ? unreadCount : unseenCount
    if (next === current) return
    current = next
    if (title) showInTitle(next)
    if (favicon) showOnIcon(next > 0)
    if (app) showOnApp(next)
  }
  show()
  const unsubscribe = client.counts.subscribe(show)
  return () => {
    unsubscribe()
    unfollowTitle()
    if (title) showInTitle(0)
    if (favicon) showOnIcon(false)
    if (app) showOnApp(0)
  }
}

const COUNT = /^\(\d+\+?\) /

function showInTitle(count: number): void {
  const plain = document.title.replace(COUNT, '')
  const title = count > 0 ? `(${count > 99 ? '99+' : count}) ${plain}` : plain
  if (title !== document.title) document.title = title
}

/** Adds the count again when a router sets a new title. */
function followTitle(count: () => number): () => void {
  const observer = new MutationObserver(() => showInTitle(Math.max(0, count())))
  observer.observe(document.head, { subtree: true, childList: true, characterData: true })
  return () => observer.disconnect()
}

/** Not every browser supports app badges, and some ask for permission. */
function showOnApp(count: number): void {
  if (!('setAppBadge' in navigator)) return
  const shown = count > 0 ? navigator.setAppBadge(count) : navigator.clearAppBadge()
  shown.catch(() => {})
}

const SIZE = 32
/** The icon without a dot. Loaded with the page, so that no notification causes a request. */
let icon: HTMLImageElement | undefined
let hasDot = false

function showOnIcon(isNew: boolean): void {
  const link = document.querySelector<HTMLLinkElement>('link[rel~="icon"]')
  if (!link) return
  icon ??= Object.assign(new Image(), { src: link.href })
  const plain = icon
  hasDot = isNew
  if (!isNew) {
    if (link.href !== plain.src) link.href = plain.src
    return
  }
  const show = () => {
    if (hasDot) link.href = withDot(plain)
  }
  // The canvas cannot be exported if the icon comes from another origin.
  plain
    .decode()
    .then(show)
    .catch(() => {})
}

function withDot(plain: HTMLImageElement): string {
  const canvas = Object.assign(document.createElement('canvas'), { width: SIZE, height: SIZE })
  const context = canvas.getContext('2d')
  if (!context) return plain.src
  context.drawImage(plain, 0, 0, SIZE, SIZE)
  context.fillStyle = '#d9480f'
  context.beginPath()
  context.arc(SIZE - 8, 8, 8, 0, 2 * Math.PI)
  context.fill()
  return canvas.toDataURL()
}
