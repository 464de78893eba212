import type { Ravenpost, Store } from './ravenpost.ts'
import { createStore } from './stores.ts'

export type PushState =
  /** The browser does not support push, or the server has no keys. */
  | 'unsupported'
  | 'loading'
  | 'off'
  /** The user refused. Only the settings of the browser can change that. */
  | 'denied'
  | 'on'

export type PushSnapshot = { state: PushState; error: Error | undefined }

export type Push = Store<PushSnapshot> & {
  /** Asks the user for permission. Call it only after a click. */
  enable(): Promise<void>
  disable(): Promise<void>
}

const PATH = '/push/subscriptions'

/** Controls web push in this browser. `serviceWorker`: URL of a script that calls `handlePush`. */
export function createPush(client: Ravenpost, { serviceWorker }: { serviceWorker: string | URL }): Push {
  const store = createStore<PushSnapshot>(
    { state: 'loading', error: undefined },
    () => void look().catch((error) => set(store.getSnapshot().state, error)),
  )
  const set = (state: PushState, error?: Error) => store.set({ state, error })
  const subscription = async () =>
    (await navigator.serviceWorker.getRegistration(serviceWorker))?.pushManager.getSubscription()
  /** The server's copy of this subscription, if it has it. It deletes it when its session ends; the browser keeps its own. */
  const kept = async ({ endpoint }: PushSubscription) => {
    const own = await idOf(endpoint)
    const { items } = await client.request<{ items: { id: string; current: boolean }[] }>('GET', PATH)
    return items.find(({ id }) => id === own)
  }
  const storeCopy = async (held: PushSubscription) => {
    const { endpoint, expirationTime, keys } = held.toJSON()
    await client.request('POST', PATH, { endpoint, expirationTime, keys })
  }
  const look = async () => {
    if (!isSupported()) return set('unsupported')
    if (Notification.permission === 'denied') return set('denied')
    const held = Notification.permission === 'granted' && (await subscription())
    const copy = held ? await kept(held) : undefined
    // It would end with another session of this user in this browser.
    if (held && copy?.current === false) await storeCopy(held)
    set(copy ? 'on' : 'off')
  }
  const attempt = async (work: () => Promise<void>) => {
    try {
      await work()
      await look()
    } catch (error) {
      await look().catch(() => {})
      set(store.getSnapshot().state, error as Error)
      throw error
    }
  }
  return {
    getSnapshot: store.getSnapshot,
    subscribe: store.subscribe,
    enable: () =>
      attempt(async () => {
        if (!isSupported() || (await Notification.requestPermission()) !== 'granted') return
        const { publicKey } = await client.request<{ publicKey: string }>('GET', '/push/vapid-public-key')
        await navigator.serviceWorker.register(serviceWorker, { type: 'module' })
        const { pushManager } = await navigator.serviceWorker.ready
        await storeCopy(await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: publicKey }))
      }),
    disable: () =>
      attempt(async () => {
        const held = await subscription()
        const copy = held && (await kept(held))
        if (copy) await client.request('DELETE', `${PATH}/${copy.id}`)
        await held?.unsubscribe()
      }),
  }
}

/** Id of a subscription on the server: the first 22 characters of the SHA-256 of its endpoint in base64url. */
async function idOf(endpoint: string): Promise<string> {
  const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(endpoint))
  const base64 = btoa(String.fromCharCode(...new Uint8Array(hash)))
  return base64.replaceAll('+', '-').replaceAll('/', '_').slice(0, 22)
}

function isSupported(): boolean {
  return typeof navigator !== 'undefined' && 'serviceWorker' in navigator && 'PushManager' in globalThis
}

/** Query parameter of a URL opened by a click on a push message. */
export const OPENED = 'rp-opened'

/**
 * Handles clicks on push messages: marks the notification as read, and calls `navigate` if this page was already open. Closes
 * messages whose notification is read or gone. Ends when the returned function is called.
 */
export function followPush(client: Ravenpost, navigate: (url: string) => void): () => void {
  const address = new URL(location.href)
  const opened = address.searchParams.get(OPENED)
  if (opened !== null) {
    address.searchParams.delete(OPENED)
    history.replaceState(history.state, '', address)
    void client.read([opened])
  }
  const onMessage = ({ data, ports }: MessageEvent) => {
    const port = ports[0]
    if (data?.type !== 'ravenpost:open' || !port) return
    // The worker answers if it has not asked another page meanwhile.
    port.onmessage = () => {
      port.close()
      if (data.id) void client.read([data.id])
      navigate(data.url)
    }
    port.postMessage(true)
  }
  const ends = [
    client.on('removed', ({ id }) => void close(id)),
    client.on('notification', ({ notification: { id, readAt } }) => void (readAt !== null && close(id))),
  ]
  navigator.serviceWorker?.addEventListener('message', onMessage)
  return () => {
    for (const end of ends) end()
    navigator.serviceWorker?.removeEventListener('message', onMessage)
  }
}

async function close(id: string): Promise<void> {
  const registration = await navigator.serviceWorker?.getRegistration()
  for (const message of (await registration?.getNotifications()) ?? []) if (message.data?.id === id) message.close()
}
