import { useQuery } from '@tanstack/react-query'
import { Check, Copy } from 'lucide-react'
import { useEffect, useState } from 'react'
import { useDevice } from '../../app/device.tsx'
import { Button } from '../../ui/button.tsx'
import type { Sql } from '../answers.ts'
import styles from '../console.module.css'
import type { Parameter } from '../data.tsx'
import { count } from '../words.ts'

/** Shows the statement behind a screen: the text that ran, its parameters, rows and duration, with a copy for psql. */
export function SqlDrawer({ sql, label }: { sql: Sql; label?: string }) {
  const [open, setOpen] = useState(false)
  const { session } = useDevice()
  const { data: text } = useQuery({
    queryKey: ['console-sql', sql.name],
    queryFn: async () => (await session.send('GET', `/admin/sql/${encodeURIComponent(sql.name)}`)).text(),
    enabled: open,
    staleTime: 10_000,
  })
  return (
    <details className={styles.sql} onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>
        <strong>Show me the SQL</strong>
        <span className={styles.muted}>
          {label && `${label} · `}
          {sql.name} · {count(sql.rows)} {sql.rows === 1 ? 'row' : 'rows'} · {sql.milliseconds.toFixed(1)} ms
        </span>
      </summary>
      {text !== undefined && (
        <>
          <div className={styles.sqlBar}>
            <span className={styles.muted}>
              {sql.parameters.length === 0
                ? 'No parameters. Runs as ravenpost_readonly, read only, two seconds at most.'
                : sql.parameters.map((value, at) => `$${at + 1} = ${literal(value)}`).join(', ')}
            </span>
            <CopyButton text={forPsql(text, sql.parameters)} />
          </div>
          {/* biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls is reached by keyboard */}
          <section tabIndex={0} aria-label={`Text of ${sql.name}`}>
            <pre data-sql={sql.name}>
              <Highlighted text={text} />
            </pre>
          </section>
        </>
      )}
    </details>
  )
}

function CopyButton({ text }: { text: string }) {
  const [copied, setCopied] = useState(false)
  useEffect(() => {
    if (!copied) return
    const timer = setTimeout(() => setCopied(false), 2000)
    return () => clearTimeout(timer)
  }, [copied])
  const copy = async () => {
    await navigator.clipboard.writeText(text).catch(() => undefined)
    setCopied(true)
  }
  return (
    <Button onClick={() => void copy()}>
      {copied ? <Check aria-hidden="true" /> : <Copy aria-hidden="true" />}
      {copied ? 'Copied' : 'Copy for psql'}
    </Button>
  )
}

/** Text for psql: prepares and executes the statement, so that psql runs the same text with the same parameters. */
export function forPsql(text: string, parameters: readonly Parameter[]): string {
  const values = parameters.length > 0 ? `(${parameters.map(literal).join(', ')})` : ''
  return `set role ravenpost_readonly;\nprepare shown as\n${text.trim()};\nexecute shown${values};\ndeallocate shown;\n`
}

const literal = (value: Parameter) => (value === null ? 'null' : `'${String(value).replaceAll("'", "''")}'`)

const KEYWORDS =
  /(--[^\n]*)|('(?:[^']|'')*')|\b(select|from|where|order by|group by|limit|join|left|cross|lateral|on|and|or|not|in|as|with|recursive|materialized|union all|case|when|then|else|end|exists|is|null|desc|coalesce|count|sum|max|min|interval|distinct|filter|over|any|array)\b/g

function Highlighted({ text }: { text: string }) {
  const parts: { at: number; text: string; kind?: string | undefined }[] = []
  let from = 0
  for (const match of text.matchAll(KEYWORDS)) {
    parts.push({ at: from, text: text.slice(from, match.index) })
    parts.push({
      at: match.index,
      text: match[0],
      kind: match[1] ? styles.sqlComment : match[2] ? styles.sqlText : styles.sqlWord,
    })
    from = match.index + match[0].length
  }
  parts.push({ at: from, text: text.slice(from) })
  return parts.map((part) => (
    <span key={`${part.at}${part.kind ?? ''}`} className={part.kind}>
      {part.text}
    </span>
  ))
}
