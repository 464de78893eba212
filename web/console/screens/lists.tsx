import { type ReactNode, useState } from 'react'
import { Segments } from '../../ui/field.tsx'
import type { Invariant, NotificationType, Worker } from '../answers.ts'
import styles from '../console.module.css'
import { type List, type Pages, type Row, rowsOf, usePages, useRead } from '../data.tsx'
import { type Column, DataTable } from '../ui/data-table.tsx'
import { Failed, type Mood, MoreButton, Screen, Source, State, To, User } from '../ui/parts.tsx'
import { Processes, SILENT } from '../ui/processes.tsx'
import { SqlDrawer } from '../ui/sql-drawer.tsx'
import { capped, count, plural, seconds } from '../words.ts'

type Read = {
  title: string
  lead: ReactNode
  path: string
  empty: string
  every?: number
  keyOf(row: Row): string
  columns: readonly Column<Row>[]
}

const text = (key: string, label: string, hint?: string): Column<Row> => ({ key, label, hint })
const number = (key: string, label: string, format = count): Column<Row> => ({
  key,
  label,
  numeric: true,
  render: (row) => (row[key] === null || row[key] === undefined ? '–' : format(Number(row[key]))),
})
const user = (key: string, label: string): Column<Row> => ({ key, label, render: (row) => <User id={row[key]} /> })
const state = (key: string, label: string, moodOf: (row: Row) => Mood): Column<Row> => ({
  key,
  label,
  render: (row) => <State mood={moodOf(row)}>{String(row[key])}</State>,
})

const lanes: Read = {
  title: 'Lanes and lag',
  lead: 'How far each lane of each consumer has read the log. Events are unread until the position moves past them.',
  path: 'lanes',
  empty: 'There is no lane.',
  keyOf: ({ consumer, lane }) => `${consumer} ${lane}`,
  columns: [
    { key: 'consumer', label: 'Consumer' },
    { key: 'lane', label: 'Lane', render: ({ lane, critical }) => (critical ? 'critical' : String(lane)) },
    {
      key: 'failingSince',
      label: 'State',
      render: ({ failingSince, pausedAt, ageSeconds }) =>
        pausedAt ? (
          <State mood="waiting">paused</State>
        ) : failingSince ? (
          <State mood="bad">fails</State>
        ) : Number(ageSeconds) > 2 ? (
          <State mood="waiting">behind</State>
        ) : (
          <State mood="good">read</State>
        ),
    },
    number('events', 'Unread', capped),
    number('ageSeconds', 'Oldest', seconds),
    text('movedAt', 'Moved'),
    text('pausedAt', 'Paused', 'select notify.resume_lanes() continues'),
    text('lastError', 'Last error'),
  ],
}

const jobs: Read = {
  title: 'Jobs',
  lead: 'Jobs of graphile-worker by task and state. They are hints: what has to be done is in tables, so a lost job loses nothing.',
  path: 'jobs?limit=100',
  empty: 'No job waits. Work is found by the poll, too.',
  keyOf: (row) => `${row.task} ${row.state}`,
  columns: [
    text('task', 'Task'),
    state('state', 'State', ({ state }) => (state === 'failed' ? 'bad' : state === 'retrying' ? 'waiting' : 'good')),
    number('jobs', 'Jobs'),
    text('oldestRunAt', 'Oldest, due'),
    number('mostAttempts', 'Most attempts'),
    text('anError', 'An error'),
  ],
}

const pending: Read = {
  title: 'Pending',
  lead: (
    <>
      Events that failed or were held up, and wait for another attempt; the next ones first. After twelve attempts an
      event is a dead letter. <To to="locks">Locks</To> shows which transaction holds rows.
    </>
  ),
  path: 'pending?limit=100',
  empty: 'No event waits for another attempt.',
  keyOf: ({ id }) => String(id),
  columns: [
    text('id', 'Id'),
    text('consumer', 'Consumer'),
    user('recipientId', 'Recipient'),
    {
      key: 'sourceId',
      label: 'Source',
      render: ({ recipientId, sourceId }) => <Source recipient={recipientId} id={sourceId} />,
    },
    number('attempts', 'Attempts'),
    text('dueAt', 'Next attempt'),
    text('lastError', 'Last error'),
  ],
}

const locks: Read = {
  title: 'Locks',
  lead: 'Transactions that hold rows or tables of ours. Those of Ravenpost are over within milliseconds; whatever else stays here holds up the work on its rows. pg_terminate_backend(pid) ends one, where nobody else can.',
  path: 'locks',
  empty: 'No transaction holds a row.',
  keyOf: ({ pid, application }) => `${pid} ${application}`,
  columns: [
    text('pid', 'Process'),
    text('application', 'Application'),
    text('role', 'Role'),
    text('state', 'State'),
    text('since', 'Since'),
    { key: 'locks', label: 'Locks', render: ({ locks }) => (locks as string[]).join(', ') },
    { key: 'waiting', label: 'Wait for it', render: ({ waiting }) => (waiting as number[]).join(', ') || '–' },
  ],
}

const webhooks: Read = {
  title: 'Webhooks',
  lead: 'Endpoints that take events, and the messages that wait for them.',
  path: 'webhooks?limit=100',
  empty: 'No endpoint takes events. Create one with POST /webhooks.',
  keyOf: ({ id }) => String(id),
  columns: [
    text('id', 'Id'),
    text('host', 'Host'),
    state('state', 'State', ({ state }) => (state === 'enabled' ? 'good' : state === 'failing' ? 'waiting' : 'bad')),
    { key: 'events', label: 'Events', render: ({ events }) => (events as string[]).join(', ') },
    number('waiting', 'Waiting', capped),
    number('oldestSeconds', 'Oldest', seconds),
    number('failures', 'Failures'),
    text('lastError', 'Last error'),
  ],
}

const breakers: Read = {
  title: 'Circuit breakers',
  lead: 'After several failures in a row a provider gets nothing for a while, then one message as a trial.',
  path: 'breakers?limit=100',
  empty: 'No provider has been called yet.',
  keyOf: ({ process, name }) => `${process} ${name}`,
  columns: [
    text('name', 'Provider'),
    text('process', 'Process'),
    {
      key: 'state',
      label: 'State',
      render: ({ state }) => (
        <State mood={state === 'closed' ? 'good' : 'bad'}>
          {state === 'closed' ? 'sending' : state === 'open' ? 'pausing' : String(state)}
        </State>
      ),
    },
    number('secondsUntilTrial', 'Next trial in', seconds),
    text('seenAt', 'Seen'),
  ],
}

export const reads: Record<string, Read> = { lanes, jobs, pending, locks, webhooks, breakers }

/** A screen that shows one statement and its rows. */
export function ReadScreen({ read: { title, lead, path, every, empty, keyOf, columns } }: { read: Read }) {
  const { pages, sql, error, more } = usePages<Pages>(path, every)
  return (
    <Screen title={title} lead={lead}>
      <Failed error={error} />
      {pages && <DataTable label={title} rows={rowsOf(pages)} keyOf={keyOf} columns={columns} empty={empty} />}
      <MoreButton more={more} />
      {sql && <SqlDrawer sql={sql} />}
    </Screen>
  )
}

export function Workers() {
  const { pages, sql, error, more } = usePages<Pages<Worker>>('workers?limit=100')
  const workers = rowsOf(pages)
  const working = workers?.filter(({ workerIds, silentSeconds }) => workerIds.length > 0 && silentSeconds < SILENT)
  return (
    <Screen
      title="Processes"
      lead={
        <>
          Every process with its last heartbeat. The jobs of a worker that is silent for 10 s are given to others. As
          rows in <To to="tables/notify.processes">notify.processes</To> and{' '}
          <To to="tables/notify.workers">notify.workers</To>.
        </>
      }
    >
      <Failed error={error} />
      {working?.length === 0 && !more.wanted && (
        <p>
          <State mood="bad">No worker runs: nothing is dispatched.</State> Start one with{' '}
          <code>node src/main.ts worker</code>.
        </p>
      )}
      {workers && <Processes processes={workers} withJobs />}
      <MoreButton more={more} />
      {sql && <SqlDrawer sql={sql} />}
    </Screen>
  )
}

export function Deliveries() {
  const [show, setShow] = useState<'waiting' | 'finished'>('waiting')
  const { pages, sql, error, more, isPlaceholderData } = usePages<Pages>(`deliveries?limit=100&show=${show}`)
  return (
    <Screen title="Deliveries" lead="Mails and web pushes: a row per notification, channel and target.">
      <Segments<'waiting' | 'finished'>
        label="Show"
        value={show}
        options={[
          { value: 'waiting', label: 'Waiting' },
          { value: 'finished', label: 'Finished' },
        ]}
        onChange={setShow}
      />
      <Failed error={error} />
      {pages && (
        <DataTable
          label="Deliveries"
          rows={isPlaceholderData ? undefined : rowsOf(pages)}
          keyOf={(row) => `${row.userId} ${row.notificationId} ${row.channel} ${row.queuedAt} ${row.updatedAt}`}
          empty={show === 'waiting' ? 'Nothing waits to be sent.' : 'Nothing was sent yet.'}
          columns={[
            user('userId', 'Recipient'),
            text('notificationId', 'Notification'),
            text('channel', 'Channel'),
            state('state', 'State', ({ state }) =>
              state === 'failed' || state === 'bounced'
                ? 'bad'
                : state === 'deferred' || state === 'queued'
                  ? 'waiting'
                  : 'good',
            ),
            text('reason', 'Why'),
            number('attempts', 'Attempts'),
            text('dueAt', 'Due'),
            text('updatedAt', 'Changed'),
            text('lastError', 'Last error'),
          ]}
        />
      )}
      <MoreButton more={more} />
      {sql && <SqlDrawer sql={sql} />}
    </Screen>
  )
}

export function Invariants() {
  const { data, error } = useRead<List<Invariant>>('invariants', 10_000)
  const broken = data?.items.filter(({ holds }) => !holds).length ?? 0
  return (
    <Screen
      title="Invariants"
      lead={
        data
          ? broken === 0
            ? `All ${data.items.length} hold. Counts are recounted for what the newest 2,000 events concern; ops.count_drift recounts everything.`
            : `${plural(broken, 'invariant')} broken. The rows are below.`
          : 'Reading …'
      }
    >
      <Failed error={error} />
      <ul className={styles.invariants}>
        {data?.items.map(({ name, title, checked, holds, rows }) => (
          <li key={name} className={styles.card}>
            <State mood={holds ? 'good' : 'bad'}>{holds ? 'holds' : 'broken'}</State> <strong>{title}</strong>{' '}
            <span className={styles.muted}>{count(checked)} looked at</span>
            {rows.length > 0 && (
              <DataTable
                label={title}
                rows={rows}
                keyOf={(row) => JSON.stringify(row)}
                empty=""
                columns={Object.keys(rows[0] ?? {}).map((key) =>
                  key === 'userId' || key === 'recipientId' ? user(key, key) : text(key, key),
                )}
              />
            )}
          </li>
        ))}
      </ul>
      {data && <SqlDrawer sql={data.sql} />}
    </Screen>
  )
}

export function Types() {
  const { pages, sql, error, more } = usePages<Pages<NotificationType>>('notification-types?limit=100', 10_000)
  return (
    <Screen
      title="Types"
      lead={
        <>
          Thresholds, windows and retention of each type of notification, as in{' '}
          <To to="tables/notify.types">notify.types</To>. PATCH /admin/notification-types changes them for all processes
          within two seconds.
        </>
      }
    >
      <Failed error={error} />
      {pages && (
        <DataTable<NotificationType>
          label="Types"
          rows={rowsOf(pages)}
          keyOf={({ type }) => type}
          empty="There is no type."
          columns={[
            text('type', 'Type'),
            text('priority', 'Priority'),
            { key: 'channels', label: 'Channels', render: ({ channels }) => channels.join(', ') || '–' },
            number('instantThreshold', 'Shown at once'),
            number('windowSeconds', 'Window', seconds),
            number('maxGroupSize', 'Most in a group'),
            number('retentionSeconds', 'Kept', seconds),
            text('dnd', 'When quiet'),
          ]}
        />
      )}
      <MoreButton more={more} />
      {sql && <SqlDrawer sql={sql} />}
    </Screen>
  )
}
