import { Link, RouterProvider } from '@tanstack/react-router'
import { useEffect, useMemo, useState } from 'react'
import { buttonClass } from '../../ui/button.tsx'
import { Alert, Loading } from '../../ui/notes.tsx'
import { SignInContext } from '../app.tsx'
import { post } from '../calls.ts'
import { DeviceProvider } from '../device.tsx'
import { explain } from '../problem.ts'
import { createAppRouter } from '../routes.tsx'
import { type Session, sessionOf, type Tokens } from '../session.ts'
import { useWords } from '../words/words.tsx'
import styles from './demo.module.css'
import { demoEnabled } from './enabled.ts'

type Devices = { devices: (Tokens & { refreshToken: string })[] }

/** Shows the apps of Ana and Ben, each with its own session, socket and address. */
export function SideBySide() {
  const words = useWords()
  const { demo, app } = words
  const [sessions, setSessions] = useState<Session[]>([])
  const [problem, setProblem] = useState<unknown>(undefined)
  useEffect(() => {
    if (!demoEnabled) return
    let wanted = true
    post<Devices>('/demo/devices', {}).then(
      ({ devices }) => wanted && setSessions(devices.map(sessionOf)),
      (error: unknown) => wanted && setProblem(error),
    )
    return () => {
      wanted = false
    }
  }, [])
  return (
    <div className={styles.side}>
      <header className={styles.top}>
        <h1>{demo.title}</h1>
        <p>{demo.hint}</p>
        <Link to="/" className={buttonClass('plain')}>
          {demo.leave}
        </Link>
      </header>
      {!demoEnabled && <Alert>{demo.off}</Alert>}
      {problem !== undefined && <Alert>{explain(problem, words)}</Alert>}
      {demoEnabled && problem === undefined && sessions.length === 0 && <Loading label={app.loading} />}
      <div className={styles.panes}>
        {sessions.map((session) => (
          <Pane key={session.user.id} session={session} />
        ))}
      </div>
    </div>
  )
}

function Pane({ session }: { session: Session }) {
  const router = useMemo(() => createAppRouter('/'), [])
  const signIn = useMemo(() => ({ session, start: () => {} }), [session])
  return (
    <section className={styles.pane} aria-label={session.user.displayName}>
      <div className={styles.scroller} data-scroller>
        <SignInContext value={signIn}>
          <DeviceProvider session={session} wholePage={false}>
            <RouterProvider router={router} />
          </DeviceProvider>
        </SignInContext>
      </div>
    </section>
  )
}
