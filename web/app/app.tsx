import { RouterProvider } from '@tanstack/react-router'
import { createContext, useCallback, useContext, useEffect, useMemo, useState } from 'react'
import { DeviceProvider } from './device.tsx'
import { sendOwedSignOut } from './owed-sign-out.ts'
import { createAppRouter } from './routes.tsx'
import { rememberedSession, type Session } from './session.ts'

type SignIn = { session: Session | undefined; start(session: Session): void }

export const SignInContext = createContext<SignIn>({ session: undefined, start: () => {} })
export const useSignIn = () => useContext(SignInContext)

/** Sessions begin and end in all tabs of a browser together, because they share a cookie. */
const channel = new BroadcastChannel('ravenpost.session')
/** The user whose session began or ended. */
type News = { began: string } | { ended: string }
const tell = (news: News) => channel.postMessage(news)

/** The whole page. Shows the last user's page at once, before the session is checked. */
export function App() {
  const [session, setSession] = useState(rememberedSession)
  const router = useMemo(() => createAppRouter(), [])

  useEffect(() => {
    channel.onmessage = ({ data }: { data: News }) => {
      const own = session?.user.id
      if ('began' in data ? data.began !== own : data.ended === own) location.reload()
    }
    if (session)
      session.onEnd = () => {
        tell({ ended: session.user.id })
        // Another user may have signed in in another tab.
        setSession(rememberedSession())
      }
  }, [session])

  useEffect(() => {
    const send = () => void sendOwedSignOut()
    send()
    addEventListener('online', send)
    return () => removeEventListener('online', send)
  }, [])

  const start = useCallback((started: Session) => {
    setSession(started)
    tell({ began: started.user.id })
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
