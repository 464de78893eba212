import { useEffect, useMemo, useState } from 'react'
import { type PreferencesSnapshot, preferencesOf } from '../preferences.ts'
import type { Preferences, Why } from '../protocol.ts'
import { createPush, type PushSnapshot } from '../push.ts'
import { useRavenpost } from './context.ts'
import { useStore } from './inbox.ts'

/** The preferences. The first use fetches them. `save` shows the new ones before the server answers. */
export function usePreferences(): PreferencesSnapshot & {
  save(preferences: Preferences): Promise<void>
  reload(): Promise<void>
} {
  const { save, load, ...store } = preferencesOf(useRavenpost())
  return { ...useStore(store), save, reload: load }
}

type Asked = { id: string; why: Why | undefined; error: Error | undefined }

/** The decisions about a notification. Both fields are undefined until the response arrives. */
export function useWhy(id: string): { why: Why | undefined; error: Error | undefined } {
  const client = useRavenpost()
  const [{ why, error, id: of }, set] = useState<Asked>({ id, why: undefined, error: undefined })
  useEffect(() => {
    let isCurrent = true
    const take = (part: Partial<Asked>) => isCurrent && set({ id, why: undefined, error: undefined, ...part })
    client.why(id).then(
      (why) => take({ why }),
      (error) => take({ error }),
    )
    return () => {
      isCurrent = false
    }
  }, [client, id])
  return of === id ? { why, error } : { why: undefined, error: undefined }
}

/** Web push in this browser. `enable` asks the user for permission, so call it only after a click. */
export function usePush({ serviceWorker }: { serviceWorker: string }): PushSnapshot & {
  enable(): Promise<void>
  disable(): Promise<void>
} {
  const client = useRavenpost()
  const { enable, disable, ...store } = useMemo(() => createPush(client, { serviceWorker }), [client, serviceWorker])
  return { ...useStore(store), enable, disable }
}
