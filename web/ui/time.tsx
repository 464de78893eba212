import { useSyncExternalStore } from 'react'
import { useLanguage, useWords } from '../app/words/words.tsx'

const [MINUTE, HOUR, DAY] = [60_000, 3_600_000, 86_400_000]
const listeners = new Set<() => void>()
let now = Date.now()
let timer: ReturnType<typeof setInterval> | undefined

/** Milliseconds since 1970, moving every half minute: one timer for all times on the page. */
export function useNow(): number {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener)
      timer ??= setInterval(tick, MINUTE / 2)
      return () => {
        listeners.delete(listener)
        if (listeners.size > 0) return
        clearInterval(timer)
        timer = undefined
      }
    },
    () => now,
  )
}

function tick(): void {
  now = Date.now()
  for (const listener of listeners) listener()
}

/** Relative up to a day, then a date; the exact time on hover and for screen readers that ask. */
export function Time({ at }: { at: string }) {
  const language = useLanguage()
  const { time } = useWords()
  const date = new Date(at)
  const age = Math.max(0, Math.max(useNow(), now) - date.getTime())
  return (
    <time dateTime={at} title={date.toLocaleString(language, { dateStyle: 'full', timeStyle: 'medium' })}>
      {age < MINUTE ? time.now : age < DAY ? ago(age, language) : dayOf(date, language)}
    </time>
  )
}

function ago(age: number, language: string): string {
  const style = { style: 'unit', unitDisplay: 'short' } as const
  const [value, unit] = age < HOUR ? [age / MINUTE, 'minute'] : [age / HOUR, 'hour']
  return new Intl.NumberFormat(language, { ...style, unit: String(unit), maximumFractionDigits: 0 }).format(
    Math.floor(Number(value)),
  )
}

function dayOf(date: Date, language: string): string {
  const sameYear = date.getFullYear() === new Date().getFullYear()
  return date.toLocaleDateString(language, { day: 'numeric', month: 'short', ...(sameYear ? {} : { year: 'numeric' }) })
}

export function clock(date: Date, language: string, seconds = false): string {
  return date.toLocaleTimeString(language, {
    hour: '2-digit',
    minute: '2-digit',
    ...(seconds ? { second: '2-digit' } : {}),
  })
}

/** A day and a time, for what lies ahead. */
export function moment(date: Date, language: string): string {
  return date.toLocaleString(language, {
    weekday: 'short',
    day: 'numeric',
    month: 'short',
    hour: '2-digit',
    minute: '2-digit',
  })
}
