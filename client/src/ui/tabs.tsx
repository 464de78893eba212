import { type KeyboardEvent, type ReactNode, useId, useRef, useState } from 'react'
import type { Filter } from '../index.ts'
import { useUnreadCount } from '../react/inbox.ts'
import { useUi } from './context.tsx'
import { List, type ListProps } from './list.tsx'
import type { Strings } from './strings.ts'

export type Tab = { name: string; filter: Filter; count?: number }

/** Tabs for all, unread, mentions, and filtered notifications. */
export function defaultTabs(strings: Strings, unreadCount: number): Tab[] {
  return [
    { name: strings.all, filter: {} },
    { name: strings.unread, filter: { filter: 'unread' }, count: unreadCount },
    { name: strings.mentions, filter: { type: ['user.mentioned', 'comment.replied'] } },
    { name: strings.requests, filter: { filter: 'filtered' } },
  ]
}

export function Tabs({ tabs, ...list }: Omit<ListProps, 'filter'> & { tabs?: readonly Tab[] }): ReactNode {
  const { part, strings } = useUi()
  const unread = useUnreadCount()
  const all = tabs ?? defaultTabs(strings, unread)
  const [selected, select] = useState(0)
  const buttons = useRef<HTMLDivElement>(null)
  const id = useId()
  const onKeyDown = (event: KeyboardEvent) => {
    const isRtl = getComputedStyle(event.currentTarget).direction === 'rtl'
    const step = { ArrowRight: isRtl ? -1 : 1, ArrowLeft: isRtl ? 1 : -1 }[event.key]
    if (!step) return
    const next = (selected + step + all.length) % all.length
    select(next)
    buttons.current?.querySelectorAll<HTMLElement>('[role=tab]')[next]?.focus()
  }
  return (
    <>
      <div
        ref={buttons}
        {...part('tabs')}
        role="tablist"
        tabIndex={-1}
        aria-label={strings.notifications}
        onKeyDown={onKeyDown}
      >
        {all.map(({ name, count }, index) => (
          <button
            key={name}
            {...part('tab')}
            type="button"
            role="tab"
            id={`${id}${index}`}
            aria-controls={`${id}list`}
            aria-selected={index === selected}
            tabIndex={index === selected ? 0 : -1}
            onClick={() => select(index)}
          >
            {name}
            {count ? ` ${count > 99 ? '99+' : count}` : ''}
          </button>
        ))}
      </div>
      <div role="tabpanel" id={`${id}list`} aria-labelledby={`${id}${selected}`} data-rp-part="tabpanel">
        <List key={selected} {...list} filter={all[selected]?.filter ?? {}} />
      </div>
    </>
  )
}
