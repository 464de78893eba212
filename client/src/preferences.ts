import type { Preferences, PreferencesAnswer } from './protocol.ts'
import type { Ravenpost } from './ravenpost.ts'
import { createStore, type Store } from './stores.ts'

export type PreferencesSnapshot = {
  /** The preferences as shown, including a change that is being saved. */
  preferences: Preferences | undefined
  effective: PreferencesAnswer['effective'] | undefined
  status: 'loading' | 'ready' | 'saving' | 'error'
  error: Error | undefined
}

export type PreferencesStore = Store<PreferencesSnapshot> & {
  load(): Promise<void>
  /** Shows the new preferences at once. If the server refuses them, shows the former ones again. */
  save(preferences: Preferences): Promise<void>
}

const PATH = '/notifications/preferences'

const stores = new WeakMap<Ravenpost, PreferencesStore>()

/** The preferences of the user, as one store for all parts of a page. The first use fetches them. */
export function preferencesOf(client: Ravenpost): PreferencesStore {
  const store = stores.get(client) ?? createPreferences(client)
  stores.set(client, store)
  return store
}

function createPreferences({ request }: Ravenpost): PreferencesStore {
  let last: Promise<unknown> = Promise.resolve()
  const store = createStore<PreferencesSnapshot>(
    { preferences: undefined, effective: undefined, status: 'loading', error: undefined },
    () => void load().catch(() => {}),
  )
  const set = (part: Partial<PreferencesSnapshot>) => store.set({ ...store.getSnapshot(), ...part })
  /** Saves one document after the other, so that the latest one wins. */
  const inTurn = (work: () => Promise<void>): Promise<void> => {
    const next = last.then(work, work)
    last = next.catch(() => {})
    return next
  }
  const fetch = async () =>
    set({ ...(await request<PreferencesAnswer>('GET', PATH)), status: 'ready', error: undefined })
  const fail = (error: Error): never => {
    set({ status: 'error', error })
    throw error
  }
  const load = () => inTurn(() => fetch().catch(fail))
  return {
    getSnapshot: store.getSnapshot,
    subscribe: store.subscribe,
    load,
    save(preferences) {
      set({ preferences, status: 'saving', error: undefined })
      return inTurn(async () => {
        set({ preferences, status: 'saving' })
        try {
          await request('PUT', PATH, preferences)
        } catch (error) {
          await fetch().catch(() => {})
          return fail(error as Error)
        }
        await fetch().catch(fail)
      })
    },
  }
}
