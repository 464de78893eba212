import type { KeyboardEvent } from 'react'
import styles from './tabs.module.css'

type TabsProps<T extends string> = {
  label: string
  value: T
  tabs: readonly { value: T; label: string }[]
  /** Id of the element that shows what the tab is about. */
  controls: string
  onChange(value: T): void
}

/** Tabs of one panel: arrows, Home and End move and choose. */
export function Tabs<T extends string>({ label, value, tabs, controls, onChange }: TabsProps<T>) {
  const move = (event: KeyboardEvent<HTMLElement>) => {
    const now = tabs.findIndex((tab) => tab.value === value)
    const forward = getComputedStyle(event.currentTarget).direction === 'rtl' ? 'ArrowLeft' : 'ArrowRight'
    const back = forward === 'ArrowLeft' ? 'ArrowRight' : 'ArrowLeft'
    const places: Record<string, number> = { [forward]: now + 1, [back]: now - 1, Home: 0, End: tabs.length - 1 }
    const place = places[event.key]
    if (place === undefined) return
    event.preventDefault()
    const next = (place + tabs.length) % tabs.length
    const tab = tabs[next]
    if (tab) onChange(tab.value)
    const button = event.currentTarget.children[next]
    if (button instanceof HTMLElement) button.focus()
  }
  return (
    <div role="tablist" aria-label={label} className={styles.tabs} onKeyDown={move}>
      {tabs.map((tab) => (
        <button
          key={tab.value}
          type="button"
          role="tab"
          aria-selected={tab.value === value}
          aria-controls={controls}
          tabIndex={tab.value === value ? 0 : -1}
          className={styles.tab}
          onClick={() => onChange(tab.value)}
        >
          {tab.label}
        </button>
      ))}
    </div>
  )
}

export const tabClass = styles.tab
export const tabsClass = styles.tabs
