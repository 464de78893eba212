import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { createRavenpost } from 'ravenpost-client'
import { RavenpostProvider } from 'ravenpost-client/react'
import { createContext, type ReactNode, useContext, useEffect, useState } from 'react'
import { type Api, createApi } from './api.ts'
import { serverUrl } from './calls.ts'
import { Problem } from './problem.ts'
import type { Session } from './session.ts'

/** A signed-in app. The page has one; the demo has two side by side. */
type Device = {
  session: Session
  api: Api
  /** True if the device is the whole page and may set title, badges and the address. */
  wholePage: boolean
}

export const DeviceContext = createContext<Device | undefined>(undefined)

/**
 * The device of this component.
 * @throws {Error} outside of a DeviceProvider; only pages without a user have none
 */
export function useDevice(): Device {
  const device = useContext(DeviceContext)
  if (!device) throw new Error('no user is signed in here')
  return device
}

export const useApi = () => useDevice().api

export function DeviceProvider(props: { session: Session; wholePage: boolean; children: ReactNode }) {
  const { session, wholePage, children } = props
  const [{ device, client, queries }] = useState(() => {
    const request = session.request.bind(session)
    const client = createRavenpost({
      url: serverUrl,
      userId: session.user.id,
      getToken: (asked) => session.token(asked),
    })
    return { device: { session, api: createApi({ request }), wholePage }, client, queries: createQueries() }
  })
  useEffect(() => () => queries.clear(), [queries])
  useEffect(() => {
    session.forget = client.signOut
  }, [session, client])
  return (
    <DeviceContext value={device}>
      <QueryClientProvider client={queries}>
        <RavenpostProvider client={client}>{children}</RavenpostProvider>
      </QueryClientProvider>
    </DeviceContext>
  )
}

function createQueries(): QueryClient {
  return new QueryClient({
    defaultOptions: {
      queries: {
        staleTime: 15_000,
        // Does not retry after a 4xx response, because the result would be the same.
        retry: (failures, error) => failures < 2 && (!(error instanceof Problem) || error.status >= 500),
        refetchOnWindowFocus: false,
      },
    },
  })
}
