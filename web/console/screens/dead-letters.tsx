import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { useDevice } from '../../app/device.tsx'
import { newKey } from '../../app/session.ts'
import { Button } from '../../ui/button.tsx'
import { SwitchRow } from '../../ui/field.tsx'
import type { Cause, DeadLetter, Replayed } from '../answers.ts'
import styles from '../console.module.css'
import { type Pages, rowsOf, useConsole, usePages } from '../data.tsx'
import { DataTable } from '../ui/data-table.tsx'
import { Card, Failed, type Mood, MoreButton, OperatingButton, Screen, Source, State, To, User } from '../ui/parts.tsx'
import { SqlDrawer } from '../ui/sql-drawer.tsx'
import { count, plural } from '../words.ts'

/** Dead letters by cause, with the predicted result of a replay, and a replay of one or of all shown ones. */
export function DeadLetters() {
  const { role } = useConsole()
  const { pages, sql, error, more } = usePages<Pages<Cause>>('dead-letters/causes?limit=50')
  const causes = rowsOf(pages)
  const [reveal, setReveal] = useState(false)
  return (
    <Screen
      title="Dead letters"
      lead={
        <>
          Events that used up their attempts. Correct the cause, then replay them: nothing is lost meanwhile, and
          nothing is applied twice. As rows in <To to="tables/notify.pending">notify.pending</To>.
        </>
      }
    >
      <Failed error={error} />
      {causes?.length === 0 && <p className={styles.empty}>No event is given up.</p>}
      {role !== 'reader' && causes && causes.length > 0 && (
        <SwitchRow
          label="Reveal the content of events"
          hint="What people wrote. Each time leaves a row in the audit log"
          checked={reveal}
          onChange={({ currentTarget }) => setReveal(currentTarget.checked)}
        />
      )}
      {causes?.map((cause) => (
        <OfCause key={cause.cause} cause={cause} reveal={reveal} />
      ))}
      <MoreButton more={more} label="More causes" />
      {sql && <SqlDrawer sql={sql} />}
    </Screen>
  )
}

function OfCause({ cause: { cause, count: letters, upTo, anError }, reveal }: { cause: Cause; reveal: boolean }) {
  const { session } = useDevice()
  const queries = useQueryClient()
  const { pages, sql, error, more } = usePages<Pages<DeadLetter>>(
    `dead-letters?limit=50&cause=${encodeURIComponent(cause)}${reveal ? '&reveal=true' : ''}`,
    // Does not refresh revealed rows, because each reveal writes an audit row.
    reveal ? 0 : undefined,
  )
  // Sends the cause and the newest shown id, so that later dead letters are not replayed.
  const replayAll = useMutation({
    mutationFn: () => session.send('POST', '/admin/dead-letters/replay', { cause, upTo }, newKey()),
    onSettled: () => queries.invalidateQueries({ queryKey: ['console'] }),
  })
  return (
    <Card title={`${cause} (${count(letters)})`}>
      {anError && !cause.endsWith(anError) && <p className={styles.muted}>{anError}</p>}
      <div className={styles.buttons}>
        <OperatingButton busy={replayAll.isPending} onClick={() => replayAll.mutate()}>
          Replay {plural(letters, 'event')}
        </OperatingButton>
      </div>
      <Failed error={error ?? replayAll.error} />
      <DataTable
        label={cause}
        rows={rowsOf(pages)}
        keyOf={({ id }) => id}
        empty="None is left."
        columns={[
          { key: 'id', label: 'Id' },
          { key: 'recipientId', label: 'Recipient', render: ({ recipientId }) => <User id={recipientId} /> },
          {
            key: 'sourceId',
            label: 'Source',
            render: ({ recipientId, sourceId }) => <Source recipient={recipientId} id={sourceId} />,
          },
          { key: 'action', label: 'If it were replayed now', render: (letter) => <Replay letter={letter} /> },
          { key: 'type', label: 'Type' },
          { key: 'lastError', label: 'Last error' },
          { key: 'attempts', label: 'Attempts', numeric: true },
          { key: 'consumer', label: 'Consumer' },
          { key: 'deadAt', label: 'Given up' },
          ...(reveal ? [{ key: 'event', label: 'Event' }] : []),
        ]}
      />
      <MoreButton more={more} label="Older" />
      {sql && <SqlDrawer sql={sql} />}
    </Card>
  )
}

/** The result is shown in the row. */
function Replay({ letter: { id } }: { letter: DeadLetter }) {
  const { session } = useDevice()
  const { role } = useConsole()
  const queries = useQueryClient()
  const dryRun = useMutation({
    mutationFn: () => session.request<Replayed>('POST', `/admin/dead-letters/${id}/dry-run`, undefined, newKey()),
  })
  const replay = useMutation({
    mutationFn: () => session.send('POST', `/admin/dead-letters/${id}/replay`, undefined, newKey()),
    onSettled: () => queries.invalidateQueries({ queryKey: ['console'] }),
  })
  return (
    <>
      <span className={styles.buttons}>
        <Button
          busy={dryRun.isPending}
          disabled={role === 'reader'}
          title={role === 'reader' ? 'For operators and admins' : undefined}
          onClick={() => dryRun.mutate()}
        >
          What would happen
        </Button>
        <OperatingButton disabled={replay.isPending} onClick={() => replay.mutate()}>
          Replay
        </OperatingButton>
      </span>
      <span role="status">
        {dryRun.data && <State mood={moods[dryRun.data.outcome]}>{outcomeOf(dryRun.data)}</State>}
      </span>
      <Failed error={dryRun.error ?? replay.error} />
    </>
  )
}

const moods: Record<Replayed['outcome'], Mood> = { applies: 'good', waits: 'waiting', fails: 'bad' }

function outcomeOf({ outcome, error, decision, decidedBy, before, after, channels }: Replayed): string {
  if (outcome === 'fails') return `fails again: ${error}`
  if (outcome === 'waits') return 'waits: another transaction holds the inbox or the object'
  const parts = [
    decision ? `${decision}${decidedBy ? ` by ${decidedBy}` : ''}` : 'nobody is notified',
    before && after && `unread ${count(before.unreadCount)} to ${count(after.unreadCount)}`,
    channels.length > 0 && `also by ${channels.join(' and ')}`,
  ]
  return `applies: ${parts.filter(Boolean).join(', ')}`
}
