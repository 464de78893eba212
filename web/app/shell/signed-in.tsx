import { lazy, type ReactNode, Suspense } from 'react'
import { useSignIn } from '../app.tsx'

const SignInHere = lazy(() => import('../account/pages.tsx').then(({ SignInHere }) => ({ default: SignInHere })))

/** Pages that require a user. Asks for the sign-in first, and then shows the requested page. */
export function SignedIn({ children }: { children: ReactNode }) {
  const { session } = useSignIn()
  if (session) return children
  return (
    <Suspense>
      <SignInHere />
    </Suspense>
  )
}
