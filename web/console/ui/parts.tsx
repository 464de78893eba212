import { Link } from '@tanstack/react-router'
import type { ComponentProps, ReactNode } from 'react'
import { explain, Problem } from '../../app/problem.ts'
import { useWords } from '../../app/words/words.tsx'
import { Button } from '../../ui/button.tsx'
import { Alert } from '../../ui/notes.tsx'
import styles from '../console.module.css'
import { type More, useConsole } from '../data.tsx'

export function Screen({ title, lead, children }: { title: string; lead?: ReactNode; children: ReactNode }) {
  return (
    <>
      <header className={styles.head}>
        <h1>{title}</h1>
        {lead && <p className={styles.muted}>{lead}</p>}
      </header>
      {children}
    </>
  )
}

export function Card({ title, children, className = '' }: { title: string; children: ReactNode; className?: string }) {
  return (
    <section className={`${styles.card} ${className}`} aria-label={title}>
      <h2>{title}</h2>
      {children}
    </section>
  )
}

export type Mood = 'good' | 'waiting' | 'bad'

/** A state as text, with a shape and a colour. */
export function State({ mood, children }: { mood: Mood; children: ReactNode }) {
  return <span className={`${styles.state} ${styles[mood]}`}>{children}</span>
}

export function Failed({ error }: { error: unknown }) {
  const words = useWords()
  if (!error) return null
  const faults = error instanceof Problem ? error.errors.map(({ pointer, message }) => `${pointer} ${message}`) : []
  return <Alert>{faults.length > 0 ? faults.join(', ') : explain(error, words)}</Alert>
}

/** A link to a page of the console. */
export function To({ to, search, children }: { to: string; search?: Record<string, string>; children: ReactNode }) {
  return (
    <Link to="/console/$" params={{ _splat: to }} search={search ?? {}}>
      {children}
    </Link>
  )
}

export function User({ id }: { id: unknown }) {
  return typeof id === 'string' && id !== '0' ? <To to={`user/${id}`}>{id}</To> : <span className={styles.null}>–</span>
}

/** A source with a link that explains how far it came on its way to the recipient. */
export function Source({ recipient, id }: { recipient: unknown; id: unknown }) {
  if (typeof id !== 'string') return <span className={styles.null}>–</span>
  if (typeof recipient !== 'string') return id
  return (
    <To to={`user/${recipient}`} search={{ column: 'source', value: id }}>
      {id}
    </To>
  )
}

type Operating = ComponentProps<typeof Button> & {
  /** The role that the server demands. */
  needs?: 'operator' | 'admin'
}

/** A button that writes. It is disabled until write actions are enabled, and for those whose role does not suffice. */
export function OperatingButton({ needs = 'operator', disabled = false, ...rest }: Operating) {
  const { role, operateUntil } = useConsole()
  const allowed = role === 'admin' || role === needs
  const operating = operateUntil > Date.now()
  const title = allowed ? (operating ? undefined : 'Switch on Operate first') : `Only for ${needs}s`
  return <Button disabled={!allowed || !operating || disabled} title={title} {...rest} />
}

/** The button for the next page of a list. */
export function MoreButton({ more: { wanted, busy, further, read }, label = 'More' }: { more: More; label?: string }) {
  if (!wanted && !further) return null
  return (
    <p className={styles.buttons}>
      {wanted && (
        <Button busy={busy} onClick={read}>
          {label}
        </Button>
      )}
      {further && <span className={styles.muted}>With further pages open, this list does not refresh by itself.</span>}
    </p>
  )
}

/** A small chart of the last values, for decoration; the number beside it has the meaning. */
export function Spark({ values }: { values: readonly number[] }) {
  if (values.length < 2) return <svg className={styles.spark} viewBox="0 0 100 30" aria-hidden="true" />
  const most = Math.max(...values, 1)
  const points = values.map(
    (value, at) => `${((at / (values.length - 1)) * 100).toFixed(2)} ${(28 - (value / most) * 26).toFixed(2)}`,
  )
  return (
    <svg className={styles.spark} viewBox="0 0 100 30" preserveAspectRatio="none" aria-hidden="true">
      <path
        d={`M${points.join(' L')}`}
        fill="none"
        stroke="var(--accent)"
        strokeWidth="1.5"
        vectorEffect="non-scaling-stroke"
      />
    </svg>
  )
}
