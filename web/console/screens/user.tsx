import { useMutation } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { type FormEvent, type ReactNode, useEffect, useRef, useState } from 'react'
import type { WhatIf } from '../../app/answers.ts'
import { useDevice } from '../../app/device.tsx'
import { type Difference, differencesOf } from '../../app/settings/differences.ts'
import { Button } from '../../ui/button.tsx'
import { Field, TextArea } from '../../ui/field.tsx'
import type { Badge, Decision, FoundUser, Line, Sql, WhyNotStep } from '../answers.ts'
import styles from '../console.module.css'
import { type Pages, parseJson, rowsOf, useNamed, usePages, useRead } from '../data.tsx'
import { At, DataTable, Value } from '../ui/data-table.tsx'
import { Card, Failed, MoreButton, Screen, State, To } from '../ui/parts.tsx'
import { SqlDrawer } from '../ui/sql-drawer.tsx'
import { count, plural } from '../words.ts'

/** Finds a user by name or id. */
export function FindUser() {
  const navigate = useNavigate()
  const [asked, setAsked] = useState('')
  const { pages, sql, error, more } = usePages<Pages<FoundUser>>(
    asked ? `users?limit=50&q=${encodeURIComponent(asked)}` : undefined,
    0,
  )
  const find = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const q = String(new FormData(event.currentTarget).get('q')).trim()
    if (/^\d+$/.test(q)) void navigate({ to: '/console/$', params: { _splat: `user/${q}` }, search: {} })
    else setAsked(q)
  }
  return (
    <Screen title="Inbox of a user" lead="What happened, what was decided and why, and whether the badge is right.">
      <form className={styles.find} onSubmit={find}>
        <Field label="Username, external id or id" name="q" required maxLength={200} />
        <Button kind="primary" type="submit">
          Find
        </Button>
      </form>
      <Failed error={error} />
      {pages && (
        <DataTable
          label="Users"
          rows={rowsOf(pages)}
          keyOf={({ id }) => id}
          empty="No username begins with this, and no user has this external id."
          columns={[
            { key: 'username', label: 'User', render: ({ id, username }) => <To to={`user/${id}`}>{username}</To> },
            { key: 'displayName', label: 'Name' },
            { key: 'externalId', label: 'External id' },
            { key: 'role', label: 'Role' },
            { key: 'id', label: 'Id' },
          ]}
        />
      )}
      <MoreButton more={more} />
      {sql && <SqlDrawer sql={sql} />}
    </Screen>
  )
}

export function UserScreen({ id }: { id: string }) {
  const badge = useRead<Badge>(`users/${id}/badge`, 0)
  const timeline = usePages<Pages<Line>>(`users/${id}/timeline?limit=100`)
  const [chosen, setChosen] = useState<string>()
  const { data } = badge
  const { column, value } = useNamed()
  const isAboutSource = column === 'source'
  return (
    <Screen
      title={data ? `Inbox of ${data.username}` : 'Inbox of a user'}
      lead={
        <>
          <To to="user">Another user</To> · rows in{' '}
          <To to="tables/notify.notifications" search={{ column: 'user_id', value: id }}>
            notifications
          </To>
          ,{' '}
          <To to="tables/notify.sources" search={{ column: 'user_id', value: id }}>
            sources
          </To>
          ,{' '}
          <To to="tables/notify.windows" search={{ column: 'user_id', value: id }}>
            windows
          </To>
          ,{' '}
          <To to="tables/notify.deliveries" search={{ column: 'user_id', value: id }}>
            deliveries
          </To>
        </>
      }
    >
      <Failed error={badge.error ?? timeline.error} />
      {data && <Proof badge={data} onProve={() => void badge.refetch()} busy={badge.isFetching} />}
      {isAboutSource && (
        <Shown key={value}>
          <WhyNot userId={id} />
        </Shown>
      )}
      <Card title="Timeline">
        {timeline.pages && (
          <DataTable
            label="Timeline"
            rows={rowsOf(timeline.pages)}
            keyOf={(row) => JSON.stringify(row)}
            empty="Nothing happened in this inbox."
            columns={[
              { key: 'at', label: 'At' },
              { key: 'what', label: 'What' },
              {
                key: 'notificationId',
                label: 'Notification',
                render: ({ notificationId, sourceId }) => {
                  if (notificationId === null && sourceId === null) return '–'
                  if (notificationId === null)
                    return (
                      <To to={`user/${id}`} search={{ column: 'source', value: String(sourceId) }}>
                        why not
                      </To>
                    )
                  return (
                    <button type="button" className={styles.link} onClick={() => setChosen(notificationId)}>
                      {notificationId}: why
                    </button>
                  )
                },
              },
              { key: 'type', label: 'Type' },
              { key: 'sourceId', label: 'Source' },
              { key: 'reason', label: 'Because of' },
            ]}
          />
        )}
        <MoreButton more={timeline.more} label="Older" />
        {timeline.sql && <SqlDrawer sql={timeline.sql} />}
      </Card>
      {chosen && (
        <Shown key={chosen}>
          <Why userId={id} notificationId={chosen} />
        </Shown>
      )}
      {!isAboutSource && <WhyNot userId={id} />}
      <Explain userId={id} />
      <TryPreferences userId={id} />
    </Screen>
  )
}

/** Content that was asked for elsewhere on the screen: it gets the focus, and is scrolled into view as it grows. */
function Shown({ children }: { children: ReactNode }) {
  const ref = useRef<HTMLDivElement>(null)
  useEffect(() => {
    const { current } = ref
    if (!current) return
    current.focus({ preventScroll: true })
    const observer = new ResizeObserver(() => current.scrollIntoView({ block: 'nearest' }))
    observer.observe(current)
    return () => observer.disconnect()
  }, [])
  return (
    <div ref={ref} tabIndex={-1}>
      {children}
    </div>
  )
}

/** Stored counts and recounts, read in one snapshot. */
function Proof({ badge, onProve, busy }: { badge: Badge; onProve(): void; busy: boolean }) {
  const right = badge.unreadCount === badge.unreadRecounted && badge.unseenCount === badge.unseenRecounted
  return (
    <Card title="State and badge">
      <div className={styles.facts}>
        <div>
          <p className={styles.number} data-proof={right}>
            {count(badge.unreadCount)} unread
          </p>
          <State mood={right ? 'good' : 'bad'}>
            {right
              ? `right: ${count(badge.unreadRecounted)} unread and ${count(badge.unseenRecounted)} unseen, recounted in one snapshot`
              : `wrong: ${count(badge.unreadRecounted)} unread and ${count(badge.unseenRecounted)} unseen were counted`}
          </State>
        </div>
        <dl>
          <dt>State</dt>
          <dd>{badge.modseq}</dd>
          <dt>Acknowledged up to</dt>
          <dd>{badge.ackedModseq}</dd>
          <dt>Seen up to</dt>
          <dd>{badge.seenModseq}</dd>
          <dt>Resumable from</dt>
          <dd>{badge.floorModseq}</dd>
          <dt>Gathering</dt>
          <dd>
            {plural(badge.waiting, 'source')} in {plural(badge.windows, 'window')}
          </dd>
          <dt>Reachable by</dt>
          <dd>{['app', ...badge.reachableBy].join(', ')}</dd>
        </dl>
        <Button busy={busy} onClick={onProve}>
          Prove the badge
        </Button>
      </div>
      <SqlDrawer sql={badge.sql} />
    </Card>
  )
}

function Why({ userId, notificationId }: { userId: string; notificationId: string }) {
  const { data, error } = useRead<Pages<Decision>>(`users/${userId}/explain?notificationId=${notificationId}`, 0)
  return (
    <Card title={`Why notification ${notificationId}`}>
      <p>
        <To to={`trace/${userId}.${notificationId}`}>Trace it from the request to the acknowledgement</To>
      </p>
      <Failed error={error} />
      {data && <Decisions rows={data.items} empty="The notification is gone." />}
      {data && <SqlDrawer sql={data.sql} />}
    </Card>
  )
}

function Explain({ userId }: { userId: string }) {
  const [at, setAt] = useState('')
  const query = at ? `&at=${encodeURIComponent(new Date(at).toISOString())}` : ''
  const { pages, sql, error, more } = usePages<Pages<Decision>>(`users/${userId}/explain?limit=100${query}`, 0)
  return (
    <Card title="What this user gets">
      <div className={styles.bar}>
        <Field
          label="At (empty: now)"
          type="datetime-local"
          value={at}
          onChange={({ currentTarget }) => setAt(currentTarget.value)}
        />
      </div>
      <Failed error={error} />
      {pages && <Decisions rows={rowsOf(pages) ?? []} empty="There is no type." />}
      <MoreButton more={more} />
      {sql && <SqlDrawer sql={sql} />}
    </Card>
  )
}

const TRIED = { types: { 'post.liked': { inApp: false } } }

/** Shows how a preference document would have decided the latest notifications of the user. */
function TryPreferences({ userId }: { userId: string }) {
  const { session } = useDevice()
  const ask = useMutation({
    mutationFn: (document: string) =>
      session.request<WhatIf>('POST', `/admin/users/${userId}/what-if`, {
        preferences: parseJson('Preferences', document),
      }),
  })
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    ask.mutate(String(new FormData(event.currentTarget).get('document')))
  }
  const { data } = ask
  return (
    <Card title="What if the preferences were">
      <form className={styles.stack} onSubmit={submit}>
        <TextArea label="Preferences, as JSON" name="document" rows={3} defaultValue={JSON.stringify(TRIED)} />
        <div className={styles.buttons}>
          <Button type="submit" busy={ask.isPending}>
            Try
          </Button>
        </div>
      </form>
      <Failed error={ask.error} />
      {data && (
        <>
          <p role="status">
            {count(data.differs)} of {plural(data.notifications, 'notification')} of the last {data.days} days would
            differ. Nothing was changed.
          </p>
          <DataTable
            label="What would differ"
            rows={differencesOf(data)}
            keyOf={({ type, channel }) => `${type} ${channel}`}
            empty="No decision would differ."
            columns={[
              { key: 'type', label: 'Type' },
              { key: 'channel', label: 'Channel' },
              { key: 'before', label: 'Now', render: ({ before }) => outcomes(before) },
              { key: 'after', label: 'Then', render: ({ after }) => outcomes(after) },
            ]}
          />
        </>
      )}
    </Card>
  )
}

function outcomes(counts: Difference['before']): string {
  return Object.entries(counts)
    .map(([outcome, times]) => `${times} ${outcome}`)
    .join(', ')
}

function Decisions({ rows, empty }: { rows: readonly Decision[]; empty: string }) {
  return (
    <DataTable
      label="Decisions"
      rows={rows}
      keyOf={(row) => JSON.stringify(row)}
      empty={empty}
      columns={[
        { key: 'type', label: 'Type' },
        { key: 'channel', label: 'Channel' },
        {
          key: 'decision',
          label: 'Decision',
          render: ({ decision }) => (
            <State mood={decision === 'allow' ? 'good' : decision === 'suppress' ? 'bad' : 'waiting'}>{decision}</State>
          ),
        },
        { key: 'decidedBy', label: 'Decided by' },
        { key: 'reason', label: 'Reason' },
        { key: 'until', label: 'Until', render: ({ until }) => <At at={until} /> },
      ]}
    />
  )
}

function WhyNot({ userId }: { userId: string }) {
  const search = useNamed()
  const [source, setSource] = useState(search.column === 'source' ? (search.value ?? '') : '')
  const { data, error } = useRead<{ steps: WhyNotStep[]; sql: Sql }>(
    source ? `users/${userId}/why-not?sourceId=${encodeURIComponent(source)}` : undefined,
    0,
  )
  const ask = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    setSource(String(new FormData(event.currentTarget).get('source')).trim())
  }
  return (
    <Card title="Why did something not arrive">
      <form className={styles.find} onSubmit={ask}>
        <Field label="Source, for example like:9:4" name="source" maxLength={300} required defaultValue={source} />
        <Button type="submit">Explain</Button>
      </form>
      <p className={styles.muted}>
        <code>like:post:user</code>, <code>comment:id</code>, <code>post:id</code>,{' '}
        <code>follow:follower:followed</code>, <code>broadcast:id</code>, or the id that the sender chose.
      </p>
      <Failed error={error} />
      {data && (
        <DataTable
          label="Steps"
          rows={data.steps}
          keyOf={(row) => `${row.step} ${row.at} ${row.reason}`}
          empty=""
          columns={[
            { key: 'step', label: 'Step' },
            {
              key: 'result',
              label: 'Result',
              render: ({ result }) => (
                <State mood={result === 'ok' ? 'good' : result === 'waits' ? 'waiting' : 'bad'}>{result}</State>
              ),
            },
            { key: 'reason', label: 'Why' },
            { key: 'at', label: 'At', render: ({ at }) => <Value value={at} /> },
          ]}
        />
      )}
      {data && <SqlDrawer sql={data.sql} />}
    </Card>
  )
}
