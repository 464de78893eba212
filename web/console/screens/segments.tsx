import { useMutation, useQueryClient } from '@tanstack/react-query'
import { useState } from 'react'
import { useDevice } from '../../app/device.tsx'
import { newKey } from '../../app/session.ts'
import { Button } from '../../ui/button.tsx'
import { Segments as Choice, Field, TextArea } from '../../ui/field.tsx'
import type { Estimate, Segment } from '../answers.ts'
import styles from '../console.module.css'
import { type Pages, parseJson, rowsOf, useConsole, usePages } from '../data.tsx'
import { At, DataTable } from '../ui/data-table.tsx'
import { Card, Failed, MoreButton, OperatingButton, Screen, To } from '../ui/parts.tsx'
import { SqlDrawer } from '../ui/sql-drawer.tsx'
import { count } from '../words.ts'

export const useSegments = () => usePages<Pages<Segment>>('segments?limit=100', 0)

/** Segments: sets of users by a rule or by SQL, with an estimate before anything is saved. */
export function SegmentsScreen() {
  const { pages, sql, error, more } = useSegments()
  return (
    <Screen
      title="Segments"
      lead="Sets of users for broadcasts, by a rule or by a select that runs as ravenpost_readonly."
    >
      <Failed error={error} />
      {pages && (
        <DataTable
          label="Segments"
          rows={rowsOf(pages)}
          keyOf={({ id }) => id}
          empty="There is no segment yet."
          columns={[
            { key: 'name', label: 'Name' },
            { key: 'rule', label: 'Users', render: ({ rule, sql }) => <code>{sql ?? JSON.stringify(rule)}</code> },
            { key: 'updatedAt', label: 'Changed', render: ({ updatedAt }) => <At at={updatedAt} /> },
          ]}
        />
      )}
      <MoreButton more={more} />
      <Editor />
      {sql && <SqlDrawer sql={sql} />}
    </Screen>
  )
}

function Editor() {
  const { session } = useDevice()
  const { role } = useConsole()
  const queries = useQueryClient()
  const [by, setBy] = useState<'rule' | 'sql'>('rule')
  const [name, setName] = useState('')
  const [rule, setRule] = useState('{"all": [{"role": "user"}, {"activeWithin": 2592000}]}')
  const [sql, setSql] = useState("select id from social.users where locale = 'de'")
  const set = () => (by === 'sql' ? { sql } : { rule: parseJson('The rule', rule) })
  const estimate = useMutation({
    mutationFn: async () => session.request<Estimate>('POST', '/admin/segments/estimate', set(), newKey()),
  })
  const save = useMutation({
    mutationFn: async () => session.request<Segment>('POST', '/admin/segments', { name, ...set() }, newKey()),
    onSuccess: () => queries.invalidateQueries({ queryKey: ['console'] }),
  })
  const { data } = estimate
  return (
    <Card title="New segment">
      <Choice<'rule' | 'sql'>
        label="By"
        value={by}
        options={[
          { value: 'rule', label: 'Rule' },
          { value: 'sql', label: 'SQL' },
        ]}
        onChange={setBy}
      />
      {by === 'rule' ? (
        <TextArea
          label="Rule, as JSON"
          rows={4}
          value={rule}
          onChange={({ currentTarget }) => setRule(currentTarget.value)}
        />
      ) : (
        <TextArea
          label="A select of user ids"
          rows={4}
          value={sql}
          onChange={({ currentTarget }) => setSql(currentTarget.value)}
        />
      )}
      <div className={styles.find}>
        <Button busy={estimate.isPending} disabled={role === 'reader'} onClick={() => estimate.mutate()}>
          Estimate
        </Button>
        <Field
          label="Name"
          value={name}
          maxLength={100}
          onChange={({ currentTarget }) => setName(currentTarget.value)}
        />
        <OperatingButton
          needs="admin"
          kind="primary"
          busy={save.isPending}
          disabled={name.trim() === ''}
          onClick={() => save.mutate()}
        >
          Save
        </OperatingButton>
      </div>
      <Failed error={estimate.error ?? save.error} />
      {save.isSuccess && <p role="status">Saved.</p>}
      {data && (
        <>
          <p className={styles.number}>
            {data.exact ? '' : '≈ '}
            {count(data.count)} users
          </p>
          <p className={styles.muted}>
            {data.exact ? 'counted' : 'estimated'} in {Math.round(data.ms)} ms
          </p>
          <ul>
            {data.sample.map(({ id, username }) => (
              <li key={id}>
                <To to={`user/${id}`}>{username}</To>
              </li>
            ))}
          </ul>
        </>
      )}
    </Card>
  )
}
