import { lazy, type ReactNode, Suspense } from 'react'
import { useSignIn } from '../app.tsx'

const SignInHere = lazy(() => import('../account/pages.tsx').then(({ SignInHere }) => ({ default: SignInHere })))

/** Pages of a user: who is not signed in is asked to, and then sees the page of this address. */
export function SignedIn({ children }: { children: ReactNode }) {
  const { session } = useSignIn()
  if (session) return children
  return (
    <Suspense>
      <SignInHere />
    </Suspense>
  )
}
