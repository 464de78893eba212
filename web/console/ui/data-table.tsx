import { type ReactNode, useEffect, useRef, useState } from 'react'
import styles from '../console.module.css'
import type { Row } from '../data.tsx'
import { moment } from '../words.ts'

export type Column<T> = {
  key: string
  label: string
  /** Tooltip of the column's head. */
  hint?: string | undefined
  numeric?: boolean
  render?(row: T): ReactNode
}

type Props<T> = {
  label: string
  columns: readonly Column<T>[]
  /** The rows; undefined: not read yet. */
  rows: readonly T[] | undefined
  keyOf(row: T): string
  /** Text shown instead of an empty table. */
  empty: string
}

const MARKED_MS = 3000

/** A table that highlights new rows for three seconds. */
export function DataTable<T extends Row>({ label, columns, rows, keyOf, empty }: Props<T>) {
  const fresh = useFresh(rows, keyOf)
  if (rows === undefined) return <p className={styles.empty}>Reading …</p>
  if (rows.length === 0) return <p className={styles.empty}>{empty}</p>
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a region that scrolls is reached by keyboard
    <section className={styles.scroll} tabIndex={0} aria-label={`${label}: rows`}>
      <table>
        <thead>
          <tr>
            {columns.map(({ key, label, hint, numeric }) => (
              <th key={key} scope="col" title={hint} className={numeric ? styles.numeric : undefined}>
                {label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map((row) => {
            const key = keyOf(row)
            return (
              <tr key={key} className={fresh.has(key) ? styles.fresh : undefined}>
                {columns.map((column) => (
                  <td key={column.key} className={column.numeric ? styles.numeric : undefined}>
                    {column.render ? column.render(row) : <Value value={row[column.key]} />}
                  </td>
                ))}
              </tr>
            )
          })}
        </tbody>
      </table>
    </section>
  )
}

export function Value({ value }: { value: unknown }) {
  if (value === null || value === undefined) return <span className={styles.null}>–</span>
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  if (typeof value === 'string' && /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(value)) return <At at={value} />
  if (typeof value === 'object') return <code>{JSON.stringify(value)}</code>
  return String(value)
}

export function At({ at }: { at: string | null }) {
  if (at === null) return <span className={styles.null}>–</span>
  return (
    <time dateTime={at} title={at}>
      {moment(at)}
    </time>
  )
}

/** Keys of new rows since the previous refresh; none at the first. */
function useFresh<T>(rows: readonly T[] | undefined, keyOf: (row: T) => string): ReadonlySet<string> {
  const known = useRef<Set<string>>(undefined)
  const [fresh, setFresh] = useState<ReadonlySet<string>>(new Set())
  // biome-ignore lint/correctness/useExhaustiveDependencies: keys are a matter of the rows
  useEffect(() => {
    const keys = rows?.map(keyOf)
    const before = known.current
    known.current = keys && new Set(keys)
    if (!before || !keys) return
    const added = keys.filter((key) => !before.has(key))
    if (added.length > 0) setFresh(new Set(added))
  }, [rows])
  useEffect(() => {
    if (fresh.size === 0) return
    const timer = setTimeout(() => setFresh(new Set()), MARKED_MS)
    return () => clearTimeout(timer)
  }, [fresh])
  return fresh
}
