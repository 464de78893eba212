import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { useDevice } from '../../app/device.tsx'
import { newKey } from '../../app/session.ts'
import { Button } from '../../ui/button.tsx'
import type { Broadcast, BroadcastWithProgress, DryRun, Recipient } from '../answers.ts'
import styles from '../console.module.css'
import { type Pages, rowsOf, useConsole, usePages, useRead } from '../data.tsx'
import { At, DataTable } from '../ui/data-table.tsx'
import { Card, Failed, type Mood, MoreButton, OperatingButton, Screen, State, To, User } from '../ui/parts.tsx'
import { usePassword } from '../ui/password.tsx'
import { SqlDrawer } from '../ui/sql-drawer.tsx'
import { count, plural, rate } from '../words.ts'
import { DraftForm } from './draft.tsx'

type BroadcastState = Broadcast['state']

const moods: Record<BroadcastState, Mood> = {
  draft: 'waiting',
  scheduled: 'waiting',
  running: 'good',
  paused: 'waiting',
  finished: 'good',
  cancelled: 'bad',
  recalled: 'bad',
}

export function Broadcasts() {
  const navigate = useNavigate()
  const { pages, sql, error, more } = usePages<Pages<Broadcast>>('broadcasts?limit=100')
  return (
    <Screen
      title="Broadcasts"
      lead="One content to many users. Nothing is sent before Send; a recall retracts it from every inbox."
    >
      <Failed error={error} />
      {pages && (
        <DataTable
          label="Broadcasts"
          rows={rowsOf(pages)}
          keyOf={({ id }) => id}
          empty="There is no broadcast yet."
          columns={[
            { key: 'name', label: 'Name', render: ({ id, name }) => <To to={`broadcasts/${id}`}>{name}</To> },
            { key: 'state', label: 'State', render: ({ state }) => <State mood={moods[state]}>{state}</State> },
            { key: 'content', label: 'Title', render: ({ content }) => content.title },
            { key: 'sendAt', label: 'At', render: ({ sendAt }) => sendAt ?? 'at once' },
            { key: 'createdAt', label: 'Written', render: ({ createdAt }) => <At at={createdAt} /> },
            { key: 'finishedAt', label: 'Finished', render: ({ finishedAt }) => <At at={finishedAt} /> },
          ]}
        />
      )}
      <MoreButton more={more} label="Older" />
      <DraftForm
        title="New broadcast"
        onSaved={({ id }) => void navigate({ to: '/console/$', params: { _splat: `broadcasts/${id}` }, search: {} })}
      />
      {sql && <SqlDrawer sql={sql} />}
    </Screen>
  )
}

const ACTIONS: { name: string; label: string; in: BroadcastState[]; danger?: boolean; needs?: 'admin' }[] = [
  { name: 'send', label: 'Send', in: ['draft'], needs: 'admin' },
  { name: 'pause', label: 'Pause', in: ['running'] },
  { name: 'resume', label: 'Resume', in: ['paused'] },
  { name: 'cancel', label: 'Cancel', in: ['scheduled', 'running', 'paused'], danger: true },
  {
    name: 'recall',
    label: 'Recall from every inbox',
    in: ['running', 'paused', 'finished', 'cancelled'],
    danger: true,
    needs: 'admin',
  },
]

export function BroadcastScreen({ id }: { id: string }) {
  const { session } = useDevice()
  const { role } = useConsole()
  const navigate = useNavigate()
  const queries = useQueryClient()
  const [editing, setEditing] = useState(false)
  const { data, error } = useRead<BroadcastWithProgress>(`broadcasts/${id}`, 1000)
  const { confirmed, dialog } = usePassword()
  const act = useMutation({
    mutationFn: (name: string) =>
      confirmed((password) => session.request('POST', `/admin/broadcasts/${id}/${name}`, password, newKey())),
    onSettled: () => queries.invalidateQueries({ queryKey: ['console'] }),
  })
  const remove = useMutation({
    mutationFn: () => session.request('DELETE', `/admin/broadcasts/${id}`),
    onSuccess: async () => {
      await navigate({ to: '/console/$', params: { _splat: 'broadcasts' }, search: {} })
      await queries.invalidateQueries({ queryKey: ['console'] })
    },
  })
  const dry = useMutation({
    mutationFn: () => session.request<DryRun>('POST', `/admin/broadcasts/${id}/dry-run`, undefined, newKey()),
  })
  if (!data) return <Failed error={error} />
  const { progress, state } = data
  return (
    <Screen
      title={data.name}
      lead={
        <>
          <To to="broadcasts">All broadcasts</To> · written by user <User id={data.createdBy} /> ·{' '}
          <To to="audit" search={{ column: 'target', value: `broadcast:${id}` }}>
            who did what
          </To>{' '}
          · <State mood={moods[state]}>{state}</State>
          {data.lastError && ` · ${data.lastError}`}
        </>
      }
    >
      <div className={styles.buttons}>
        <Button busy={dry.isPending} onClick={() => dry.mutate()}>
          Dry run
        </Button>
        {ACTIONS.filter((action) => action.in.includes(state)).map(({ name, label, danger, needs }) => (
          <OperatingButton
            key={name}
            needs={needs}
            kind={danger ? 'danger' : 'primary'}
            busy={act.isPending}
            disabled={act.isPending}
            onClick={() => act.mutate(name)}
          >
            {label}
          </OperatingButton>
        ))}
        {state === 'draft' && role === 'admin' && (
          <>
            <Button aria-expanded={editing} onClick={() => setEditing(!editing)}>
              Edit
            </Button>
            <OperatingButton
              needs="admin"
              kind="danger"
              busy={remove.isPending}
              disabled={remove.isPending}
              onClick={() => remove.mutate()}
            >
              Delete draft
            </OperatingButton>
          </>
        )}
      </div>
      <Failed error={error ?? act.error ?? remove.error ?? dry.error} />
      {dialog}
      {editing && state === 'draft' && (
        <DraftForm
          title="Edit the draft"
          draft={data}
          onSaved={() => {
            setEditing(false)
            dry.reset()
            void queries.invalidateQueries({ queryKey: ['console'] })
          }}
        />
      )}
      <div className={styles.two}>
        <Card title="Progress">
          <p className={styles.number} data-done={progress.done}>
            {count(progress.done)}
            {progress.total !== null && ` of ${count(progress.total)}`}
          </p>
          <progress aria-label="Progress" max={progress.total ?? 1} value={progress.done} />
          <p className={styles.muted}>
            {progress.rate !== null && `${rate(progress.rate)} recipients/s`}
            {progress.eta && `, done at ${new Date(progress.eta).toTimeString().slice(0, 8)}`}
          </p>
          <Numbers
            of={[
              ['Shown in the inbox', progress.stored],
              ['Filtered', progress.filtered],
              ['Suppressed', progress.suppressed],
              ['Waiting', progress.waiting],
              ['Failed', progress.failed],
              ['Pushed', progress.pushed],
              ['Acknowledged', progress.acknowledged],
              ['Read', progress.read],
              ['Recalled', progress.recalled],
            ]}
          />
        </Card>
        <div className={styles.stack}>
          <Card title="Content">
            <p>
              <strong>{data.content.title}</strong>
              <br />
              {data.content.body}
            </p>
            <p className={styles.muted}>
              To <code>{JSON.stringify(data.audience)}</code>, {data.sendAt ? `at ${data.sendAt}` : 'when sent'}
              {data.timeZone && ' of each recipient'}
              {data.perSecond !== null && `, ${plural(data.perSecond, 'recipient')} per second at most`}
            </p>
          </Card>
          {dry.data && <DryRunCard run={dry.data} />}
        </div>
      </div>
      <Recipients id={id} />
      <SqlDrawer sql={data.sql.broadcast} />
      <SqlDrawer sql={data.sql.reached} />
    </Screen>
  )
}

function DryRunCard({ run }: { run: DryRun }) {
  const named = (what: string, counts: Record<string, number>) =>
    Object.entries(counts).map(([reason, number]): [string, number] => [`${what}: ${reason}`, number])
  return (
    <Card title="If it were sent now">
      <p className={styles.number}>{plural(run.total, 'recipient')}</p>
      <Numbers
        of={[
          ['Shown', run.shown],
          ['Silent', run.silent],
          ...named('Filtered', run.filtered),
          ...named('Suppressed', run.suppressed),
          ['No channel at all', run.noChannel],
          ['Mails', run.channels.email.queued + run.channels.email.deferred],
          ['Web pushes', run.channels.webPush.queued + run.channels.webPush.deferred],
        ]}
      />
      <p className={styles.muted}>In one snapshot, in {count(Math.round(run.ms))} ms. Nothing was written.</p>
    </Card>
  )
}

function Numbers({ of }: { of: [string, number][] }) {
  return (
    <dl className={styles.numbers}>
      {of.map(([label, number]) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd>{count(number)}</dd>
        </div>
      ))}
    </dl>
  )
}

function Recipients({ id }: { id: string }) {
  const { pages, sql, more } = usePages<Pages<Recipient>>(`broadcasts/${id}/recipients?limit=50`)
  if (!pages) return null
  return (
    <Card title="Recipients">
      <DataTable
        label="Recipients"
        rows={rowsOf(pages)}
        keyOf={({ userId }) => userId}
        empty="It was not decided about anyone yet."
        columns={[
          { key: 'username', label: 'User' },
          { key: 'userId', label: 'Id', render: ({ userId }) => <User id={userId} /> },
          { key: 'decision', label: 'Decision' },
          { key: 'decidedBy', label: 'Decided by' },
          { key: 'deliveredAt', label: 'Delivered' },
          { key: 'readAt', label: 'Read' },
          { key: 'email', label: 'Email' },
          { key: 'webPush', label: 'Web Push' },
        ]}
      />
      <MoreButton more={more} />
      {sql && <SqlDrawer sql={sql} />}
    </Card>
  )
}
