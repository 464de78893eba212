import { useNavigate } from '@tanstack/react-router'
import { type FormEvent, useState } from 'react'
import { Button } from '../../ui/button.tsx'
import { Field } from '../../ui/field.tsx'
import type { Trace, TracedRequest } from '../answers.ts'
import styles from '../console.module.css'
import { useConsole, useNamed, usePages, useRead } from '../data.tsx'
import { DataTable } from '../ui/data-table.tsx'
import { Card, Failed, MoreButton, Screen, To, User } from '../ui/parts.tsx'
import { SqlDrawer } from '../ui/sql-drawer.tsx'
import { count, seconds } from '../words.ts'

/** The trace of a request or a notification, to its acknowledgement. */
export function FindTrace() {
  const navigate = useNavigate()
  const named = useNamed()
  const [requestId, setRequestId] = useState(named.column === 'request' ? (named.value ?? '') : '')
  const path = requestId ? `trace?requestId=${encodeURIComponent(requestId)}` : undefined
  const { pages, sql, error, more } = usePages<TracedRequest>(path, 0)
  const looked = pages?.reduce((sum, { looked }) => sum + looked.events, 0) ?? 0
  const byNotification = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    void navigate({
      to: '/console/$',
      params: { _splat: `trace/${String(form.get('user')).trim()}.${String(form.get('notification')).trim()}` },
      search: {},
    })
  }
  const byRequest = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    setRequestId(String(new FormData(event.currentTarget).get('request')).trim())
  }
  return (
    <Screen
      title="Trace"
      lead="One notification: who sent it, and what became of it up to the acknowledgement. Or all events of a request."
    >
      <form className={styles.find} onSubmit={byNotification}>
        <Field label="User id" name="user" pattern="\d+" required />
        <Field label="Notification id" name="notification" pattern="\d+" required />
        <Button type="submit">Trace</Button>
      </form>
      <form className={styles.find} onSubmit={byRequest}>
        <Field label="Request id (x-request-id)" name="request" maxLength={200} required defaultValue={requestId} />
        <Button type="submit">Find</Button>
      </form>
      <Failed error={error} />
      {pages && (
        <DataTable
          label="Events"
          rows={pages.flatMap(({ events }) => events)}
          keyOf={({ eventId }) => eventId}
          empty={`None of the newest ${count(looked)} events belongs to this request.`}
          columns={[
            { key: 'at', label: 'At' },
            { key: 'action', label: 'Action' },
            { key: 'sourceId', label: 'Source' },
            { key: 'actorId', label: 'Who', render: ({ actorId }) => <User id={actorId} /> },
            { key: 'recipientId', label: 'Recipient', render: ({ recipientId }) => <User id={recipientId} /> },
            { key: 'decision', label: 'Decision' },
            { key: 'decidedBy', label: 'Decided by' },
            {
              key: 'notificationId',
              label: 'Notification',
              render: ({ recipientId, notificationId }) =>
                notificationId ? <To to={`trace/${recipientId}.${notificationId}`}>{notificationId}</To> : '–',
            },
          ]}
        />
      )}
      <MoreButton more={more} label="Look further back" />
      {sql && <SqlDrawer sql={sql} />}
    </Screen>
  )
}

/** One line per step, with the time since the first. */
export function TraceScreen({ of }: { of: string }) {
  const [userId = '', notificationId = ''] = of.split('.')
  const { role } = useConsole()
  const [reveal, setReveal] = useState(false)
  const { data, error } = useRead<Trace>(`trace/${userId}/${notificationId}${reveal ? '?reveal=true' : ''}`, 0)
  const begun = Math.min(...(data?.steps.map(({ at }) => Date.parse(at)) ?? [0]))
  return (
    <Screen
      title={`Notification ${notificationId} of user ${userId}`}
      lead={
        <>
          <To to="trace">Another trace</To> · <To to={`user/${userId}`}>the inbox</To>
        </>
      }
    >
      <Failed error={error} />
      {data && (
        <Card title="Steps">
          <DataTable
            label="Steps"
            rows={data.steps}
            keyOf={(row) => JSON.stringify(row)}
            empty="There is no step."
            columns={[
              { key: 'at', label: 'At' },
              {
                key: 'since',
                label: 'After',
                numeric: true,
                render: ({ at }) => seconds(Math.max(0, Date.parse(at) - begun) / 1000),
              },
              { key: 'step', label: 'Step' },
              { key: 'detail', label: 'What' },
              { key: 'sourceId', label: 'Source', render: ({ sourceId }) => <Source id={sourceId} /> },
              { key: 'modseq', label: 'State' },
              {
                key: 'requestId',
                label: 'Request',
                render: ({ requestId }) =>
                  requestId ? (
                    <To to="trace" search={{ column: 'request', value: requestId }}>
                      {requestId}
                    </To>
                  ) : (
                    '–'
                  ),
              },
              { key: 'sessions', label: 'Sessions', render: ({ sessions }) => sessions?.join(', ') ?? '–' },
            ]}
          />
        </Card>
      )}
      {data && role !== 'reader' && (
        <Card title="Content">
          {data.content ? (
            <DataTable label="Content" rows={[data.content]} keyOf={() => 'content'} empty="" columns={CONTENT} />
          ) : (
            <div className={styles.buttons}>
              <Button onClick={() => setReveal(true)}>Reveal; leaves a row in the audit log</Button>
            </div>
          )}
        </Card>
      )}
      {data && <SqlDrawer sql={data.sql} />}
    </Screen>
  )
}

const CONTENT = ['title', 'body', 'url', 'data'].map((key) => ({ key, label: key }))

/** Shows the broadcast of a notification, with a link to it. */
function Source({ id }: { id: string | null }) {
  const broadcast = /^(?:send:broadcast-test:|broadcast:)(\d+)(?:$|:)/.exec(id ?? '')?.[1]
  return broadcast ? <To to={`broadcasts/${broadcast}`}>{id}</To> : (id ?? '–')
}
