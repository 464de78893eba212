import type { ComponentProps } from 'react'
import { useFormStatus } from 'react-dom'
import styles from './button.module.css'

export type ButtonKind = 'primary' | 'plain' | 'quiet' | 'danger'
type Props = ComponentProps<'button'> & { kind?: ButtonKind; busy?: boolean }

export function Button({ kind = 'plain', busy = false, className = '', type = 'button', ...rest }: Props) {
  const classes = `${styles.button} ${styles[kind]} ${className}`
  return <button type={type} aria-busy={busy || undefined} className={classes} {...rest} />
}

/** Submits the form around it, and is busy while the form's action runs. */
export function SubmitButton(props: Props) {
  const { pending } = useFormStatus()
  return <Button kind="primary" type="submit" busy={pending} disabled={pending} {...props} />
}

/** A button that is only a picture; `label` names it. */
export function IconButton({ label, className = '', type = 'button', ...rest }: Props & { label: string }) {
  return (
    <button
      type={type}
      aria-label={label}
      title={label}
      className={`${styles.button} ${styles.icon} ${className}`}
      {...rest}
    />
  )
}

/** For links that look like buttons. */
export const buttonClass = (kind: ButtonKind) => `${styles.button} ${styles[kind]}`
export const iconClass = `${styles.button} ${styles.icon}`
