import { createContext, createElement, type ReactNode, useContext, useEffect } from 'react'
import type { Ravenpost } from '../ravenpost.ts'

const Context = createContext<Ravenpost | undefined>(undefined)

/** Starts the client while mounted. Create the client outside React, one for each user who signs in. */
export function RavenpostProvider({ client, children }: { client: Ravenpost; children?: ReactNode }): ReactNode {
  useEffect(() => {
    client.start()
    return () => client.stop()
  }, [client])
  return createElement(Context.Provider, { value: client }, children)
}

/**
 * Returns the client of the provider.
 * @throws {Error} outside of a RavenpostProvider
 */
export function useRavenpost(): Ravenpost {
  const client = useContext(Context)
  if (!client) throw new Error('useRavenpost and its like need a <RavenpostProvider client={…}> around them')
  return client
}
