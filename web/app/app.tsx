import { RouterProvider } from '@tanstack/react-router'
import { createContext, useCallback, useContext, useEffect, useMemo, useState } from 'react'
import { DeviceProvider } from './device.tsx'
import { createAppRouter } from './routes.tsx'
import { rememberedSession, type Session } from './session.ts'

type SignIn = { session: Session | undefined; start(session: Session): void }

export const SignInContext = createContext<SignIn>({ session: undefined, start: () => {} })
export const useSignIn = () => useContext(SignInContext)

/** Sessions begin and end in all tabs of a browser together, because they share a cookie. */
const CHANNEL = 'ravenpost.session'

/** The whole page. Shows the last user's page at once, before the session is checked. */
export function App() {
  const [session, setSession] = useState(rememberedSession)
  const router = useMemo(() => createAppRouter(), [])

  useEffect(() => {
    const channel = new BroadcastChannel(CHANNEL)
    channel.onmessage = ({ data }) => {
      if (data !== (session?.user.id ?? null)) location.reload()
    }
    if (session)
      session.onEnd = () => {
        setSession(undefined)
        new BroadcastChannel(CHANNEL).postMessage(null)
      }
    return () => channel.close()
  }, [session])

  const start = useCallback((started: Session) => {
    setSession(started)
    new BroadcastChannel(CHANNEL).postMessage(started.user.id)
  }, [])
  const signIn = useMemo(() => ({ session, start }), [session, start])

  const pages = <RouterProvider router={router} />
  return (
    <SignInContext value={signIn}>
      {session ? (
        <DeviceProvider key={session.user.id} session={session} wholePage>
          {pages}
        </DeviceProvider>
      ) : (
        pages
      )}
    </SignInContext>
  )
}
