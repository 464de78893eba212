import type { ReactNode } from 'react'
import styles from './notes.module.css'

/** In place of a list with nothing in it. */
export function Empty({ icon, title, children }: { icon?: ReactNode; title: string; children?: ReactNode }) {
  return (
    <div className={styles.note}>
      {icon}
      <h2>{title}</h2>
      {children && <p>{children}</p>}
    </div>
  )
}

/** Not before 300 ms: what is quicker needs no spinner. */
export function Loading({ label }: { label: string }) {
  return (
    <div className={styles.late} role="status">
      <div className={styles.spin} aria-hidden="true" />
      <span className="visually-hidden">{label}</span>
    </div>
  )
}

export function Alert({ good, children }: { good?: boolean; children: ReactNode }) {
  return (
    <div role={good ? 'status' : 'alert'} className={`${styles.alert} ${good ? styles.good : ''}`}>
      {children}
    </div>
  )
}
