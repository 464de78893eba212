import type { Held } from './held-inbox.ts'
import type { Intent } from './overlay.ts'
import type { Range } from './ranges.ts'

/** The inbox that a tab shows before the network answers, and that it sends to new tabs. It contains no credentials. */
export type Saved = {
  /** User id of the owner, from the server's `welcome`. */
  owner: string | undefined
  state: string
  counts: { unreadCount: number; unseenCount: number }
  held: Held[]
  bottom: Range['bottom']
  marks: Range['marks']
}

export type Storage = {
  load(): Promise<{ saved: Saved | undefined; intents: Intent[] }>
  save(saved: Saved): Promise<void>
  putIntent(intent: Intent): Promise<void>
  deleteIntents(keys: string[]): Promise<void>
  /** Deletes the database. */
  wipe(): Promise<void>
  close(): void
}

/** Version of the stored shape of `Saved` and `Intent`. Data of another version is dropped. */
const SCHEMA = 1
const INBOX = 'inbox'
const INTENTS = 'intents'

/** Opens the database of one user on one server. */
export function openStorage(name: string): Storage | undefined {
  if (typeof indexedDB === 'undefined') return undefined
  let opening: Promise<IDBDatabase> | undefined
  const open = () => {
    opening ??= openDatabase(name)
    return opening
  }
  const attempt = async (mode: IDBTransactionMode, work: (of: (store: string) => IDBObjectStore) => IDBRequest[]) => {
    const transaction = (await open()).transaction([INBOX, INTENTS], mode)
    const requests = work((store) => transaction.objectStore(store))
    await new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve()
      transaction.onabort = () => reject(transaction.error)
    })
    return requests.map(({ result }): unknown => result)
  }
  const close = () => void opening?.then((database) => database.close()).catch(() => {})
  /** Opens the database once more after a failure: another tab, or the browser, may have closed it. */
  const run: typeof attempt = (mode, work) =>
    attempt(mode, work).catch(() => {
      close()
      opening = undefined
      return attempt(mode, work)
    })
  return {
    async load() {
      const [saved, intents] = await run('readonly', (of) => [of(INBOX).get(INBOX), of(INTENTS).getAll()])
      return { saved: saved as Saved | undefined, intents: intents as Intent[] }
    },
    async save(saved) {
      await run('readwrite', (of) => [of(INBOX).put(saved, INBOX)])
    },
    async putIntent(intent) {
      await run('readwrite', (of) => [of(INTENTS).put(intent, intent.key)])
    },
    async deleteIntents(keys) {
      await run('readwrite', (of) => keys.map((key) => of(INTENTS).delete(key)))
    },
    async wipe() {
      await run('readwrite', (of) => [of(INBOX).clear(), of(INTENTS).clear()])
    },
    close,
  }
}

function openDatabase(name: string): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, SCHEMA)
    request.onupgradeneeded = () => {
      const database = request.result
      for (const store of [...database.objectStoreNames]) database.deleteObjectStore(store)
      for (const store of [INBOX, INTENTS]) database.createObjectStore(store)
    }
    request.onsuccess = () => {
      // Another tab has a newer schema, or deletes the database.
      request.result.onversionchange = () => request.result.close()
      resolve(request.result)
    }
    request.onerror = () => reject(request.error)
    request.onblocked = () => reject(new Error('the stored inbox is in use by an older version of this page'))
  })
}
