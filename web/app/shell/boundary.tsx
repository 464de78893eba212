import { type ErrorComponentProps, Link, useRouter } from '@tanstack/react-router'
import { Component, type ReactNode } from 'react'
import { Button, buttonClass } from '../../ui/button.tsx'
import { Empty } from '../../ui/notes.tsx'
import { useWords } from '../words/words.tsx'

/** Shows errors that no page catches. */
export class Boundary extends Component<{ children: ReactNode }, { failed: boolean }> {
  override state = { failed: false }
  static getDerivedStateFromError = () => ({ failed: true })
  override componentDidCatch(error: unknown) {
    console.error(error)
  }
  override render() {
    return this.state.failed ? <Broken retry={() => this.setState({ failed: false })} /> : this.props.children
  }
}

/** Shows an error instead of one page; header and bell continue to work. */
export function Crashed({ reset }: ErrorComponentProps) {
  const router = useRouter()
  return (
    <Broken
      retry={() => {
        reset()
        void router.invalidate()
      }}
    />
  )
}

function Broken({ retry }: { retry(): void }) {
  const { app } = useWords()
  return (
    <Empty title={app.crashed}>
      {app.crashedHint}
      <br />
      <Button onClick={retry}>{app.retry}</Button>
    </Empty>
  )
}

export function NotFound() {
  const { app } = useWords()
  return (
    <Empty title={app.notFound}>
      {app.notFoundHint}
      <br />
      <Link to="/" className={buttonClass('plain')}>
        {app.toFeed}
      </Link>
    </Empty>
  )
}
