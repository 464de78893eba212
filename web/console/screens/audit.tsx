import { type FormEvent, useState } from 'react'
import { Button } from '../../ui/button.tsx'
import { Field } from '../../ui/field.tsx'
import type { AuditEntry } from '../answers.ts'
import styles from '../console.module.css'
import { type Pages, rowsOf, useNamed, usePages } from '../data.tsx'
import { DataTable } from '../ui/data-table.tsx'
import { Failed, MoreButton, Screen, To } from '../ui/parts.tsx'
import { SqlDrawer } from '../ui/sql-drawer.tsx'

/** The audit log: who changed what, newest first. */
export function Audit() {
  const search = useNamed()
  const [filter, setFilter] = useState<Record<string, string>>(
    search.column && search.value ? { [search.column]: search.value } : {},
  )
  const query = new URLSearchParams({ limit: '50', ...filter })
  const { pages, sql, error, more } = usePages<Pages<AuditEntry>>(`audit?${query}`)
  const find = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const given = [...new FormData(event.currentTarget)].map(([name, value]) => [name, String(value).trim()] as const)
    setFilter(Object.fromEntries(given.filter(([, value]) => value !== '')))
  }
  return (
    <Screen
      title="Audit"
      lead={
        <>
          Who changed what, when and from where. Each row is chained to the one before by a hash: ops.audit_breaks lists
          what was tampered with. As rows in <To to="tables/notify.audit">notify.audit</To>. Sends by services and
          applications are not here: a trace begins with who sent it, and <To to="tables/notify.sends">notify.sends</To>{' '}
          lists them.
        </>
      }
    >
      <form className={styles.find} onSubmit={find}>
        <Field label="Actor, for example user:7" name="actor" maxLength={300} defaultValue={filter.actor} />
        <Field label="Action" name="action" maxLength={300} defaultValue={filter.action} />
        <Field label="Target" name="target" maxLength={300} defaultValue={filter.target} />
        <Button type="submit">Find</Button>
      </form>
      <Failed error={error} />
      {pages && (
        <DataTable
          label="Audit"
          rows={rowsOf(pages)}
          keyOf={({ id }) => id}
          empty="Nothing was changed."
          columns={[
            { key: 'at', label: 'At' },
            {
              key: 'actor',
              label: 'Actor',
              render: ({ actor }) =>
                actor.startsWith('user:') ? <To to={`user/${actor.slice('user:'.length)}`}>{actor}</To> : actor,
            },
            { key: 'action', label: 'Action' },
            { key: 'target', label: 'Target' },
            { key: 'before', label: 'Before', render: ({ before }) => <Part value={before} /> },
            { key: 'after', label: 'After', render: ({ after }) => <Part value={after} /> },
            { key: 'address', label: 'From' },
            { key: 'requestId', label: 'Request' },
          ]}
        />
      )}
      <MoreButton more={more} label="Older" />
      {sql && <SqlDrawer sql={sql} />}
    </Screen>
  )
}

function Part({ value }: { value: unknown }) {
  return value === null || value === undefined ? '–' : <code>{JSON.stringify(value)}</code>
}
