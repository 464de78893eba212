import { useConnection } from 'ravenpost-client/react'
import { useEffect, useState } from 'react'
import { Button } from '../../ui/button.tsx'
import { clock } from '../../ui/time.tsx'
import { useLanguage, useWords } from '../words/words.tsx'
import styles from './shell.module.css'

/**
 * Shows that the connection is live; or, after two seconds without it, the problem and the time of the next attempt.
 */
export function ConnectionStatus() {
  const { connection: words } = useWords()
  const language = useLanguage()
  const { status, troubled, liveUntil, missing, retryAt, retryNow } = useConnection()
  const seconds = useSecondsUntil(troubled ? retryAt : undefined)

  const away = () => (liveUntil ? words.offlineSince(clock(new Date(liveUntil), language)) : words.offline)
  const texts: Record<typeof status, string> = {
    stopped: words.connecting,
    connecting: words.connecting,
    catchingUp: missing ? words.missing(missing) : words.catchingUp,
    live: words.live,
    waiting: away(),
    offline: away(),
    signedOut: words.signedOut,
    refused: words.refused,
  }
  const shown = troubled || status === 'signedOut' || status === 'refused' ? status : 'live'
  const tone = shown === 'live' ? 'live' : shown === 'catchingUp' || shown === 'connecting' ? 'wait' : 'off'
  return (
    <div
      className={styles.status}
      data-tone={tone}
      data-status={status}
      role="status"
      aria-label={words.label}
      title={texts[shown]}
    >
      <i aria-hidden="true" />
      <span>
        {texts[shown]}
        {shown === 'waiting' && seconds !== undefined && `, ${words.againIn(seconds)}`}
      </span>
      {(shown === 'waiting' || shown === 'offline') && <Button onClick={retryNow}>{words.now}</Button>}
    </div>
  )
}

function useSecondsUntil(time: number | undefined): number | undefined {
  const [now, setNow] = useState(Date.now)
  useEffect(() => {
    if (time === undefined) return
    setNow(Date.now())
    const timer = setInterval(() => setNow(Date.now()), 1000)
    return () => clearInterval(timer)
  }, [time])
  return time === undefined ? undefined : Math.max(0, Math.ceil((time - now) / 1000))
}
