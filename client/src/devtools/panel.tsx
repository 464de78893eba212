import { type ReactNode, useEffect, useState } from 'react'
import { useRavenpost } from '../react/context.ts'
import { useStore } from '../react/inbox.ts'
import { createStore } from '../stores.ts'
import { createJournal, type Entry, type Journal } from './journal.ts'

const NOTHING = createStore<readonly Entry[]>([])

/** Development panel: state, connection, leader, lag, and the latest frames, with a slider that goes back through them. */
export function Devtools(): ReactNode {
  const client = useRavenpost()
  const [journal, setJournal] = useState<Journal>()
  const [back, setBack] = useState(0)
  useEffect(() => {
    const journal = createJournal(client)
    setJournal(journal)
    return () => journal.stop()
  }, [client])
  const entries = useStore(journal ?? NOTHING)
  const { status, isLeader, closeCode } = useStore(client.connection)
  const { state, unreadCount, unseenCount, pendingCount } = useStore(client.counts)
  const index = entries.length - 1 - back
  const past = back > 0 && index >= 0 ? journal?.at(index) : undefined
  const lags = entries.flatMap(({ lagMs }) => lagMs ?? [])
  return (
    <details data-rp-part="devtools">
      <summary>Ravenpost</summary>
      <dl>
        <dt>connection</dt>
        <dd>
          {status} {closeCode} {isLeader ? 'leader' : 'follower'}
        </dd>
        <dt>state</dt>
        <dd>
          {state}: {unreadCount} unread, {unseenCount} unseen, {pendingCount} pending
        </dd>
        <dt>lag of the last one</dt>
        <dd>{lags.at(-1)} ms</dd>
      </dl>
      <label>
        back by {back}
        <input
          type="range"
          min="0"
          max={Math.max(0, entries.length - 1)}
          value={back}
          onChange={({ target }) => setBack(Number(target.value))}
        />
      </label>
      {past && (
        <ol>
          <li>
            {past.state}: {past.unreadCount} unread
          </li>
          {past.items.slice(0, 20).map(({ id, title, readAt }) => (
            <li key={id}>
              {readAt === null ? '● ' : ''}
              {title}
            </li>
          ))}
        </ol>
      )}
      <table>
        <tbody>
          {entries
            .slice(-50)
            .reverse()
            .map(({ at, type, text }) => (
              <tr key={`${at} ${type} ${text}`}>
                <td>{new Date(at).toISOString().slice(11, 23)}</td>
                <td>{type}</td>
                <td>{text}</td>
              </tr>
            ))}
        </tbody>
      </table>
    </details>
  )
}
