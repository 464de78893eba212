import { type FormEvent, useState } from 'react'
import { Button } from '../../ui/button.tsx'
import { Field } from '../../ui/field.tsx'
import type { Advice, Setting } from '../answers.ts'
import styles from '../console.module.css'
import { type List, type Pages, rowsOf, usePages, useRead } from '../data.tsx'
import { DataTable } from '../ui/data-table.tsx'
import { Card, Failed, MoreButton, Screen } from '../ui/parts.tsx'
import { SqlDrawer } from '../ui/sql-drawer.tsx'

/** Retention times and limits in force, and what the settings of the database server cost. */
export function Settings() {
  const { pages, sql, error, more } = usePages<Pages<Setting>>('settings?limit=100', 0)
  return (
    <Screen
      title="Settings"
      lead="What the database server should change, and every retention time and limit in force."
    >
      <DatabaseServer />
      <Card title="Retention and limits">
        <Failed error={error} />
        {pages && (
          <DataTable
            label="Settings"
            rows={rowsOf(pages)}
            keyOf={({ role, name }) => `${role} ${name}`}
            empty="No process has written its settings."
            columns={[
              { key: 'name', label: 'What' },
              { key: 'value', label: 'Value' },
              { key: 'setBy', label: 'Set by' },
              { key: 'role', label: 'Role' },
              { key: 'writtenAt', label: 'Since' },
            ]}
          />
        )}
        <MoreButton more={more} />
        {sql && <SqlDrawer sql={sql} />}
      </Card>
    </Screen>
  )
}

/** Settings and held snapshots of PostgreSQL that cost something. It does not know the memory of its machine. */
function DatabaseServer() {
  const [memory, setMemory] = useState('')
  const { data, error } = useRead<List<Advice>>(`advice${memory && `?memory=${encodeURIComponent(memory)}`}`, 15_000)
  const ask = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault()
    setMemory(String(new FormData(event.currentTarget).get('memory')).trim())
  }
  return (
    <Card title="Database server">
      <p className={styles.muted}>
        Settings that cost something, as connections of Ravenpost see them. <code>npm run advise</code> checks those of
        other connections too.
      </p>
      <form className={styles.find} onSubmit={ask}>
        <Field
          label="Memory of its machine, for example 16GB"
          name="memory"
          pattern="\s*[1-9]\d{0,5} ?(MB|GB|TB)\s*"
          title="A number with MB, GB or TB"
        />
        <Button type="submit">Advise</Button>
      </form>
      <Failed error={error} />
      {data && (
        <DataTable
          label="Advice"
          rows={data.items}
          keyOf={({ setting, reason }) => `${setting} ${reason}`}
          empty={`No setting costs anything${memory ? ` with ${memory} of memory` : '. Sizes are checked with the memory of the machine'}.`}
          columns={[
            { key: 'setting', label: 'Setting' },
            { key: 'value', label: 'Is' },
            { key: 'advised', label: 'Better' },
            { key: 'reason', label: 'Because' },
            { key: 'statement', label: 'Change it by', render: ({ statement }) => <code>{statement}</code> },
          ]}
        />
      )}
      {data && <SqlDrawer sql={data.sql} />}
    </Card>
  )
}
