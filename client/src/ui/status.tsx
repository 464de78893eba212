import { type ReactNode, useEffect, useState } from 'react'
import { useConnection } from '../react/connection.ts'
import { useRavenpost } from '../react/context.ts'
import { useStore } from '../react/inbox.ts'
import { useUi } from './context.tsx'
import { clock } from './times.ts'

/** Shows the connection status as text. Hides breaks shorter than two seconds. */
export function ConnectionStatus(): ReactNode {
  const { part, strings } = useUi()
  const { status, troubled, missing, liveUntil, retryAt, retryNow } = useConnection()
  const { pendingCount: pending, isStored } = useStore(useRavenpost().counts)
  const since = liveUntil === undefined ? undefined : clock(liveUntil, strings.locale)
  const words = {
    live: strings.live,
    stopped: '',
    connecting: troubled ? strings.connecting : '',
    catchingUp: troubled ? strings.catchingUp(missing) : '',
    waiting: troubled ? strings.offlineSince(since) : '',
    offline: strings.offlineSince(since),
    signedOut: strings.signedOut,
    refused: strings.refused,
  }[status]
  const isWaiting = (status === 'waiting' && troubled) || status === 'offline'
  return (
    <div {...part('status')} data-status={status} data-troubled={troubled || undefined}>
      <span role="status">
        {words}
        {pending > 0 && isStored && status !== 'live' && <span> · {strings.saved(pending)}</span>}
      </span>
      {isWaiting && retryAt !== undefined && (
        <>
          {/* The countdown is outside the live region, so that screen readers do not read every second. */}
          {status === 'waiting' && <Countdown until={retryAt} />}
          <button {...part('button')} type="button" onClick={retryNow}>
            {strings.now}
          </button>
        </>
      )}
    </div>
  )
}

function Countdown({ until }: { until: number }): ReactNode {
  const { strings } = useUi()
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1000)
    return () => clearInterval(timer)
  }, [])
  return <span>{strings.nextTry(Math.max(0, Math.ceil((until - now) / 1000)))}</span>
}
