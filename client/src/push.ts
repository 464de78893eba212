import type { Ravenpost, Store } from './ravenpost.ts'
import { createStore } from './stores.ts'

export type PushState =
  /** This browser cannot, or the server has no keys. */
  | 'unsupported'
  | 'loading'
  | 'off'
  /** The user refused; only the browser's settings can change that. */
  | 'denied'
  | 'on'

export type PushSnapshot = { state: PushState; error: Error | undefined }

export type Push = Store<PushSnapshot> & {
  /** Asks the user: only after a click. */
  enable(): Promise<void>
  disable(): Promise<void>
}

/** Web push in this browser. `serviceWorker`: address of a script that calls `handlePush`. */
export function createPush(client: Ravenpost, { serviceWorker }: { serviceWorker: string | URL }): Push {
  const store = createStore<PushSnapshot>({ state: 'loading', error: undefined }, () => void look().catch(() => {}))
  const set = (state: PushState, error?: Error) => store.set({ state, error })
  const registration = () => navigator.serviceWorker.register(serviceWorker, { type: 'module' })
  const look = async () => {
    if (!isSupported()) return set('unsupported')
    if (Notification.permission === 'denied') return set('denied')
    const subscription = await (
      await navigator.serviceWorker.getRegistration(serviceWorker)
    )?.pushManager.getSubscription()
    set(subscription && Notification.permission === 'granted' ? 'on' : 'off')
  }
  const attempt = async (work: () => Promise<void>) => {
    try {
      await work()
      await look()
    } catch (error) {
      await look()
      // Whatever the browser or the request threw.
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
        await registration()
        const { pushManager } = await navigator.serviceWorker.ready
        const subscription = await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: publicKey })
        await keep(client, subscription)
      }),
    disable: () =>
      attempt(async () => {
        const subscription = await (
          await navigator.serviceWorker.getRegistration(serviceWorker)
        )?.pushManager.getSubscription()
        if (!subscription) return
        // The server knows it by an id, which it answers again.
        const { id } = await keep(client, subscription)
        await client.request('DELETE', `/push/subscriptions/${id}`)
        await subscription.unsubscribe()
      }),
  }
}

function keep(client: Ravenpost, subscription: PushSubscription): Promise<{ id: string }> {
  const { endpoint, expirationTime, keys } = subscription.toJSON()
  return client.request('POST', '/push/subscriptions', { endpoint, expirationTime, keys })
}

function isSupported(): boolean {
  return typeof navigator !== 'undefined' && 'serviceWorker' in navigator && 'PushManager' in globalThis
}

/** Parameter of an address that a click on a push message opened. */
export const OPENED = 'rp-opened'

/**
 * Follows clicks on push messages: reads the notification, and calls `navigate` where this page was open already. Takes
 * messages away that are read or gone. Until the function it returns is called.
 */
export function followPush(client: Ravenpost, navigate: (url: string) => void): () => void {
  const address = new URL(location.href)
  const opened = address.searchParams.get(OPENED)
  if (opened !== null) {
    address.searchParams.delete(OPENED)
    history.replaceState(history.state, '', address)
    void client.read([opened])
  }
  const onMessage = ({ data }: MessageEvent) => {
    if (data?.type !== 'ravenpost:open') return
    if (data.id) void client.read([data.id])
    navigate(data.url)
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
