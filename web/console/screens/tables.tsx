import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useNavigate } from '@tanstack/react-router'
import { type FormEvent, type ReactNode, useState } from 'react'
import { demoEnabled } from '../../app/demo/enabled.ts'
import { useDevice } from '../../app/device.tsx'
import { Button } from '../../ui/button.tsx'
import { Field, Segments, Select, SwitchRow } from '../../ui/field.tsx'
import type { Column, Table, TablePage } from '../answers.ts'
import styles from '../console.module.css'
import { type List, type Row, rowsOf, useConsole, useNamed, usePages, useRead } from '../data.tsx'
import { DataTable, Value } from '../ui/data-table.tsx'
import { Card, Failed, MoreButton, OperatingButton, Screen, To } from '../ui/parts.tsx'
import { usePassword } from '../ui/password.tsx'
import { SqlDrawer } from '../ui/sql-drawer.tsx'
import { bytes, count, estimate } from '../words.ts'
import { TryIt } from './overview.tsx'

const FIRST = ['notify.notifications', 'social.likes', 'social.comments', 'social.follows']

export function Tables() {
  const { data, error } = useRead<List<Table>>('tables')
  const place = ({ name }: Table) => (FIRST.includes(name) ? FIRST.indexOf(name) : FIRST.length)
  const tables = data?.items.toSorted((a, b) => place(a) - place(b) || a.name.localeCompare(b.name))
  return (
    <Screen title="Tables" lead="Every table, its rows and what is new. Large tables are estimated, and marked ≈.">
      <Failed error={error} />
      <DataTable
        label="Tables"
        rows={tables}
        keyOf={({ name }) => name}
        empty="There is no table."
        columns={[
          { key: 'name', label: 'Table', render: ({ name }) => <To to={`tables/${name}`}>{name}</To> },
          { key: 'rows', label: 'Rows', numeric: true, render: ({ rows, estimated }) => estimate(rows, estimated) },
          {
            key: 'lastFiveMinutes',
            label: 'Last 5 min',
            numeric: true,
            hint: 'Rows written in the last five minutes; of large tables among their newest 2 MB',
            render: ({ lastFiveMinutes, recentEstimated }) =>
              lastFiveMinutes === null ? '–' : estimate(lastFiveMinutes, recentEstimated === true),
          },
          { key: 'bytes', label: 'Size', numeric: true, render: (table) => bytes(table.bytes) },
          {
            key: 'comment',
            label: 'Meaning',
            render: ({ comment }) => <span className={styles.muted}>{comment}</span>,
          },
        ]}
      />
      {data && <SqlDrawer sql={data.sql} />}
      {demoEnabled && <ClearData />}
    </Screen>
  )
}

const CONFIRMATION = 'delete all data'

/** Removes all data of the demo except accounts with a role, after a typed confirmation. */
function ClearData() {
  const { session } = useDevice()
  const { role } = useConsole()
  const queries = useQueryClient()
  const [typed, setTyped] = useState('')
  const { confirmed, dialog } = usePassword()
  const clear = useMutation({
    mutationFn: () =>
      confirmed((password) =>
        session.request<{ removed: number }>('DELETE', '/demo/data', { confirm: typed, ...password }),
      ),
    onSuccess: () => {
      setTyped('')
      return queries.invalidateQueries()
    },
  })
  if (role !== 'admin') return null
  return (
    <Card title="Clear data (demo mode)">
      <div className={styles.find}>
        <Field
          label={`Type “${CONFIRMATION}”`}
          value={typed}
          onChange={({ currentTarget }) => setTyped(currentTarget.value)}
        />
        <OperatingButton
          kind="danger"
          busy={clear.isPending}
          disabled={typed !== CONFIRMATION}
          onClick={() => clear.mutate()}
        >
          Clear data
        </OperatingButton>
      </div>
      <Failed error={clear.error} />
      {dialog}
      {clear.data && <p role="status">{count(clear.data.removed)} accounts are removed, with all they did.</p>}
    </Card>
  )
}

type Order = 'newest' | 'key'

/**
 * One table: its newest rows, refreshed, or pages by key, or rows with a value of an indexed column; with links to
 * referenced rows.
 */
export function TableScreen({ name }: { name: string }) {
  const search = useNamed()
  const navigate = useNavigate()
  const { role } = useConsole()
  const [order, setOrder] = useState<Order>(search.column ? 'key' : 'newest')
  const [reveal, setReveal] = useState(false)
  const filter =
    search.column && search.value !== undefined ? { column: search.column, value: String(search.value) } : undefined
  const query = new URLSearchParams({ order, ...(reveal && { reveal: 'true' }), ...filter })
  // Each read of private columns leaves a row in the audit log.
  const { pages, error, more } = usePages<TablePage>(`tables/${name}?${query}`, reveal ? 0 : undefined)
  const last = pages?.at(-1)
  const columns = pages?.[0]?.columns ?? []
  const rows = rowsOf(pages)
  const keys = columns.filter(({ key }) => key)
  const keyOf = (row: Row) =>
    keys.length > 0 ? keys.map((column) => String(row[column.name])).join(' ') : JSON.stringify(row)
  const hidden = columns.filter((column) => column.private && !column.shown)
  const find = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    const form = new FormData(event.currentTarget)
    const value = String(form.get('value')).trim()
    setOrder('key')
    void navigate({
      to: '/console/$',
      params: { _splat: `tables/${name}` },
      search: value ? { column: String(form.get('column')), value } : {},
    })
  }
  return (
    <Screen
      title={name}
      lead={
        <>
          <To to="tables">All tables</To>
          {last?.estimated && ' · the newest rows of the last 4 MB, and so perhaps not all of them'}
        </>
      }
    >
      <div className={styles.bar}>
        <Segments<Order>
          label="Order"
          value={order}
          options={[
            { value: 'newest', label: 'Newest' },
            { value: 'key', label: 'By key' },
          ]}
          onChange={setOrder}
        />
        <form className={styles.find} onSubmit={find}>
          <Select label="Column" name="column" defaultValue={search.column}>
            {columns.flatMap(({ name, searchable }) => (searchable ? [<option key={name}>{name}</option>] : []))}
          </Select>
          <label className={styles.valueField}>
            Value
            <input name="value" defaultValue={search.value} key={search.value} maxLength={300} />
          </label>
          <Button type="submit">Find</Button>
        </form>
        {role !== 'reader' && (hidden.length > 0 || reveal) && (
          <SwitchRow
            label="Reveal private columns"
            hint="What people wrote, and how to reach them"
            checked={reveal}
            onChange={({ currentTarget }) => setReveal(currentTarget.checked)}
          />
        )}
      </div>
      <Failed error={error} />
      <DataTable
        label={`Rows of ${name}`}
        rows={rows}
        keyOf={keyOf}
        empty={filter ? 'No row has this value.' : 'The table is empty.'}
        columns={columns
          .filter(({ shown }) => shown)
          .map((column) => ({
            key: column.name,
            label: column.name,
            hint: [column.type, column.comment].filter(Boolean).join(': '),
            numeric: /int|double|real/.test(column.type) && !column.references && !column.key,
            render: (row: Row) => <Cell column={column} value={row[column.name]} />,
          }))}
      />
      <MoreButton more={more} label="Older rows" />
      {last && <SqlDrawer sql={last.sql} />}
      <Columns columns={columns} />
    </Screen>
  )
}

function Cell({ column: { references }, value }: { column: Column; value: unknown }): ReactNode {
  if (!references || value === null || value === '0') return <Value value={value} />
  if (references === 'social.users.id') return <To to={`user/${value}`}>{String(value)}</To>
  const [schema, table, column = ''] = references.split('.')
  return (
    <To to={`tables/${schema}.${table}`} search={{ column, value: String(value) }}>
      {String(value)}
    </To>
  )
}

function Columns({ columns }: { columns: readonly Column[] }) {
  if (columns.length === 0) return null
  return (
    <Card title="Columns">
      <DataTable
        label="Columns"
        rows={columns}
        keyOf={({ name }) => name}
        empty=""
        columns={[
          { key: 'name', label: 'Column', render: ({ name, key }) => <code>{key ? `${name} (key)` : name}</code> },
          { key: 'type', label: 'Type' },
          {
            key: 'shown',
            label: 'Shown',
            render: (column) => (column.shown ? 'yes' : column.private ? 'private' : 'secret'),
          },
          { key: 'references', label: 'Refers to' },
          { key: 'comment', label: 'Meaning' },
        ]}
      />
    </Card>
  )
}

const EXPERIMENT = [
  { table: 'social.likes', title: 'Likes: each at once', columns: ['post_id', 'user_id', 'created_at'] },
  {
    table: 'notify.notifications',
    title: 'Notifications: the group grows',
    columns: ['user_id', 'id', 'type', 'actor_count', 'modseq', 'updated_at', 'delivered_at'],
  },
  { table: 'notify.windows', title: 'Windows: what gathers', columns: ['user_id', 'group_key', 'opened_at', 'due_at'] },
  {
    table: 'notify.sources',
    title: 'Sources: what was decided',
    columns: ['user_id', 'source_id', 'decision', 'waits_for', 'decided_at'],
  },
  {
    table: 'notify.delivery_log',
    title: 'Delivery history: stored, pushed, acknowledged',
    columns: ['at', 'recipient_id', 'notification_id', 'event', 'channel', 'reason'],
  },
  {
    table: 'notify.outbox',
    title: 'Log: the events',
    columns: ['id', 'type', 'source_id', 'recipient_id', 'created_at'],
  },
] as const

/** Explains eight likes: eight rows at once, three shown at once, five that wait, one flush. */
export function Experiment() {
  return (
    <Screen
      title="Experiment"
      lead="Send eight likes with the dials below a post, or from the overview: the likes are written at once, three people are shown one by one, five wait in notify.windows, then one flush shows them together in one frame."
    >
      {demoEnabled && <TryIt />}
      <div className={styles.panels}>
        {EXPERIMENT.map((panel) => (
          <Panel key={panel.table} {...panel} />
        ))}
      </div>
    </Screen>
  )
}

function Panel({ table, title, columns }: { table: string; title: string; columns: readonly string[] }) {
  const { data, error } = useRead<TablePage>(`tables/${table}?limit=10`, 1000)
  return (
    <Card title={title}>
      <p className={styles.muted}>
        <To to={`tables/${table}`}>{table}</To>
        {data && ` · ${count(data.sql.rows > 10 ? 10 : data.sql.rows)} newest`}
      </p>
      <Failed error={error} />
      <DataTable
        label={table}
        rows={data?.items}
        keyOf={(row) => JSON.stringify(columns.map((column) => row[column]))}
        empty="Empty."
        columns={columns.map((key) => ({
          key,
          label: key,
          render: (row: Row) =>
            /^(user_id|recipient_id)$/.test(key) ? (
              <To to={`user/${row[key]}`}>{String(row[key])}</To>
            ) : (
              <Value value={row[key]} />
            ),
        }))}
      />
      {data && <SqlDrawer sql={data.sql} />}
    </Card>
  )
}
