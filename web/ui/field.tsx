import { type ComponentProps, type ReactNode, useEffect, useId, useRef } from 'react'
import styles from './field.module.css'

type FieldProps = { label: string; hint?: ReactNode; error?: string | undefined }

/** What a control needs around it, which has the same `id`. */
function Labelled({ id, label, hint, error, children }: FieldProps & { id: string; children: ReactNode }) {
  return (
    <div className={styles.field}>
      <label className={styles.label} htmlFor={id}>
        {label}
      </label>
      {children}
      {hint && (
        <span id={`${id}-hint`} className={styles.hint}>
          {hint}
        </span>
      )}
      {error && (
        <span id={`${id}-error`} className={styles.error}>
          {error}
        </span>
      )}
    </div>
  )
}

/** Focuses the first refused control of the form when this one gets a new error. */
function useFocusOnError<E extends HTMLInputElement | HTMLTextAreaElement>(error: string | undefined) {
  const control = useRef<E>(null)
  useEffect(() => {
    if (error) control.current?.form?.querySelector<HTMLElement>('[aria-invalid="true"]')?.focus()
  }, [error])
  return control
}

/** A labelled input; the hint and the error are read with it. The first control with a new error gets the focus. */
export function Field({ label, hint, error, ...input }: FieldProps & ComponentProps<'input'>) {
  const id = useId()
  const control = useFocusOnError<HTMLInputElement>(error)
  return (
    <Labelled id={id} label={label} hint={hint} error={error}>
      <input
        ref={control}
        id={id}
        className={styles.input}
        aria-invalid={error ? true : undefined}
        aria-describedby={`${id}-hint ${id}-error`}
        {...input}
      />
    </Labelled>
  )
}

export function TextArea({ label, hint, error, ...input }: FieldProps & ComponentProps<'textarea'>) {
  const id = useId()
  const control = useFocusOnError<HTMLTextAreaElement>(error)
  return (
    <Labelled id={id} label={label} hint={hint} error={error}>
      <textarea
        ref={control}
        id={id}
        className={styles.input}
        aria-invalid={error ? true : undefined}
        aria-describedby={`${id}-hint ${id}-error`}
        {...input}
      />
    </Labelled>
  )
}

export function Select({ label, children, ...select }: { label: string } & ComponentProps<'select'>) {
  const id = useId()
  return (
    <Labelled id={id} label={label}>
      <select id={id} className={styles.input} {...select}>
        {children}
      </select>
    </Labelled>
  )
}

export function Switch(props: Omit<ComponentProps<'input'>, 'type' | 'role'>) {
  // biome-ignore lint/a11y/useAriaPropsForRole: a checkbox has its state by itself
  return <input {...props} type="checkbox" role="switch" className={styles.switch} />
}

/** A switch with its name before it, over the whole width. */
export function SwitchRow({ label, hint, ...rest }: { label: string; hint?: ReactNode } & ComponentProps<'input'>) {
  const id = useId()
  return (
    // biome-ignore lint/a11y/noLabelWithoutControl: the switch is inside
    <label className={styles.row}>
      <span>
        {label}
        {hint && (
          <span id={id} className={styles.hint}>
            {hint}
          </span>
        )}
      </span>
      <Switch {...rest} aria-label={label} aria-describedby={hint ? id : undefined} />
    </label>
  )
}

type SegmentsProps<T extends string> = {
  label: string
  value: T
  options: readonly { value: T; label: string }[]
  onChange(value: T): void
}

/** One of a few, all of them visible: radio buttons. */
export function Segments<T extends string>({ label, value, options, onChange }: SegmentsProps<T>) {
  const name = useId()
  return (
    <fieldset>
      <legend className="visually-hidden">{label}</legend>
      <div className={styles.segments}>
        {options.map((option) => (
          <label key={option.value}>
            <input
              type="radio"
              name={name}
              value={option.value}
              checked={option.value === value}
              onChange={() => onChange(option.value)}
            />
            {option.label}
          </label>
        ))}
      </div>
    </fieldset>
  )
}
