import { useMutation, useQuery, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import type { Page } from '../../app/api.ts'
import { useDevice } from '../../app/device.tsx'
import { newKey } from '../../app/session.ts'
import { Button } from '../../ui/button.tsx'
import styles from '../console.module.css'
import { type Row, useConsole } from '../data.tsx'
import { DataTable } from '../ui/data-table.tsx'
import { Card, Failed, Screen, To, User, useOperating } from '../ui/parts.tsx'
import { count, plural } from '../words.ts'

type Cause = { cause: string; count: number; upTo: string; oldestAt: string; newestAt: string; anError: string | null }
type DeadLetter = Row & { id: string; recipientId: string | null }
type Counts = { unreadCount: number; unseenCount: number }
type DryRun = {
  outcome: 'applies' | 'fails' | 'waits'
  error: string | null
  decision: string | null
  decidedBy: string | null
  before: Counts | null
  after: Counts | null
  channels: string[]
}

/** By cause: what would happen now, and a replay of one or of all that were seen. */
export function DeadLetters() {
  const { session } = useDevice()
  const { live } = useConsole()
  const { data, error } = useQuery({
    queryKey: ['console', 'causes'],
    queryFn: () => session.request<{ items: Cause[] }>('GET', '/admin/dead-letters/causes'),
    refetchInterval: live ? 3000 : false,
    retry: false,
  })
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
      {data?.items.length === 0 && <p className={styles.empty}>No event is given up.</p>}
      {data?.items.map((cause) => (
        <OfCause key={cause.cause} cause={cause} />
      ))}
    </Screen>
  )
}

function OfCause({ cause: { cause, count: letters, upTo, anError } }: { cause: Cause }) {
  const { session } = useDevice()
  const { live } = useConsole()
  const operating = useOperating()
  const queries = useQueryClient()
  const [asked, setAsked] = useState<string>()
  const { data, error } = useQuery({
    queryKey: ['console', 'dead-letters', cause],
    queryFn: () =>
      session.request<Page<DeadLetter>>('GET', `/admin/dead-letters?limit=50&cause=${encodeURIComponent(cause)}`),
    refetchInterval: live ? 3000 : false,
    retry: false,
  })
  const onSettled = () => queries.invalidateQueries({ queryKey: ['console'] })
  const replay = useMutation({
    mutationFn: (id: string) => session.send('POST', `/admin/dead-letters/${id}/replay`, undefined, newKey()),
    onSettled,
  })
  // Names the cause and the newest that was seen, so that later ones stay.
  const replayAll = useMutation({
    mutationFn: () => session.send('POST', '/admin/dead-letters/replay', { cause, upTo }, newKey()),
    onSettled,
  })
  const dryRun = useMutation({
    mutationFn: (id: string) => {
      setAsked(id)
      return session.request<DryRun>('POST', `/admin/dead-letters/${id}/dry-run`, undefined, newKey())
    },
  })
  const refused = operating ? undefined : 'Switch on Operate first'
  return (
    <Card title={`${cause} (${count(letters)})`}>
      {anError && anError !== cause && <p className={styles.muted}>{anError}</p>}
      <div className={styles.buttons}>
        <Button disabled={!operating} title={refused} busy={replayAll.isPending} onClick={() => replayAll.mutate()}>
          Replay {plural(letters, 'event')}
        </Button>
      </div>
      <Failed error={error ?? replay.error ?? replayAll.error ?? dryRun.error} />
      {dryRun.data && (
        <p role="status">
          {asked} now: {outcomeOf(dryRun.data)}
        </p>
      )}
      <DataTable
        label={cause}
        rows={data?.items ?? []}
        keyOf={({ id }) => id}
        empty="Reading …"
        columns={[
          { key: 'id', label: 'Id' },
          { key: 'recipientId', label: 'Recipient', render: ({ recipientId }) => <User id={recipientId} /> },
          { key: 'sourceId', label: 'Source' },
          { key: 'type', label: 'Type' },
          { key: 'attempts', label: 'Attempts', numeric: true },
          { key: 'deadAt', label: 'Given up' },
          {
            key: 'action',
            label: 'Action',
            render: ({ id }) => (
              <span className={styles.buttons}>
                <Button busy={dryRun.isPending && asked === id} onClick={() => dryRun.mutate(id)}>
                  What would happen
                </Button>
                <Button disabled={!operating || replay.isPending} title={refused} onClick={() => replay.mutate(id)}>
                  Replay
                </Button>
              </span>
            ),
          },
        ]}
      />
    </Card>
  )
}

function outcomeOf({ outcome, error, decision, decidedBy, before, after, channels }: DryRun): string {
  if (outcome === 'fails') return `fails again: ${error}`
  if (outcome === 'waits') return 'waits: another transaction holds the inbox or the object'
  const parts = [
    decision ? `${decision}${decidedBy ? ` by ${decidedBy}` : ''}` : 'nobody is notified',
    before && after && `unread ${count(before.unreadCount)} to ${count(after.unreadCount)}`,
    channels.length > 0 && `also by ${channels.join(' and ')}`,
  ]
  return `applies: ${parts.filter(Boolean).join(', ')}`
}
