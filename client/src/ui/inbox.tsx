import { type ReactNode, type Ref, useEffect, useId, useRef, useState } from 'react'
import { useConnection } from '../react/connection.ts'
import { useRavenpost } from '../react/context.ts'
import { useUnreadCount, useUnseenCount } from '../react/inbox.ts'
import { RavenpostUi, type UiOptions, useUi } from './context.tsx'
import { Icon } from './icons.tsx'
import type { ListProps } from './list.tsx'
import { Preferences } from './preferences.tsx'
import { Schedule } from './schedule.tsx'
import { ConnectionStatus } from './status.tsx'
import { type Tab, Tabs } from './tabs.tsx'

export type PanelProps = Omit<ListProps, 'filter'> & {
  tabs?: readonly Tab[]
  /** Content for the end of the panel, beside the status, for example a link to a page. */
  footer?: ReactNode
  /** Shows the settings. Default: true. */
  settings?: boolean
}

export type InboxProps = UiOptions &
  PanelProps & {
    /** `unseen` becomes 0 when the bell opens, `unread` when everything is read. */
    count?: 'unread' | 'unseen'
  }

/** A bell that opens the inbox. */
export function Inbox({ count, strings, navigate, classNames, kinds, pictureUrl, ...panel }: InboxProps): ReactNode {
  return (
    <RavenpostUi {...{ strings, navigate, classNames, kinds, pictureUrl }}>
      <Dropdown count={count} {...panel} />
    </RavenpostUi>
  )
}

function Dropdown({ count, ...panel }: PanelProps & Pick<InboxProps, 'count'>): ReactNode {
  const { part } = useUi()
  const [isOpen, setOpen] = useState(false)
  const bell = useRef<HTMLButtonElement>(null)
  const popover = useRef<HTMLDivElement>(null)
  const id = useId()
  useEffect(() => {
    const element = popover.current
    if (!element || !bell.current) return
    // With this property, the same button, Escape and a click outside close the popover.
    bell.current.popoverTargetElement = element
    const onToggle = (event: Event) => {
      const opens = (event as ToggleEvent).newState === 'open'
      if (opens) place(element, bell.current)
      setOpen(opens)
    }
    const onResize = () => place(element, bell.current)
    element.addEventListener('beforetoggle', onToggle)
    addEventListener('resize', onResize)
    return () => {
      element.removeEventListener('beforetoggle', onToggle)
      removeEventListener('resize', onResize)
    }
  }, [])
  return (
    <>
      <Bell bellRef={bell} count={count} isOpen={isOpen} controls={id} />
      <div ref={popover} id={id} popover="auto" {...part('popover')}>
        <InboxPanel {...panel} isOpen={isOpen} />
      </div>
    </>
  )
}

/** Places the popover below the bell and inside the window. */
function place(popover: HTMLElement, bell: HTMLElement | null): void {
  if (!bell) return
  const { bottom, left, right } = bell.getBoundingClientRect()
  const isRtl = getComputedStyle(bell).direction === 'rtl'
  const edge = Math.max(8, isRtl ? left : document.documentElement.clientWidth - right)
  popover.style.setProperty('--rp-top', `${Math.max(8, bottom + 8)}px`)
  popover.style.setProperty('--rp-end', `${edge}px`)
}

export type BellProps = {
  count?: 'unread' | 'unseen'
  isOpen?: boolean
  /** Id of the element that the bell opens. */
  controls?: string
  onClick?(): void
  bellRef?: Ref<HTMLButtonElement>
}

export function Bell({ count = 'unread', isOpen, controls, onClick, bellRef }: BellProps): ReactNode {
  const { part, strings } = useUi()
  const [unread, unseen] = [useUnreadCount(), useUnseenCount()]
  const { troubled } = useConnection()
  const shown = count === 'unread' ? unread : unseen
  return (
    <button
      ref={bellRef}
      {...part('bell')}
      type="button"
      aria-label={strings.bell(shown)}
      aria-expanded={isOpen}
      aria-controls={controls}
      data-offline={troubled || undefined}
      onClick={onClick}
    >
      <Icon name="bell" />
      {shown > 0 && (
        <span {...part('badge')} aria-hidden="true">
          {shown > 99 ? '99+' : shown}
        </span>
      )}
    </button>
  )
}

/** The inbox with its tabs and settings, for a page or a popover. */
export function InboxPanel({ tabs, footer, settings = true, ...list }: PanelProps): ReactNode {
  const client = useRavenpost()
  const { part, strings } = useUi()
  const unread = useUnreadCount()
  const { status } = useConnection()
  const [isSettings, setSettings] = useState(false)
  const title = useId()
  return (
    <section {...part('panel')} aria-labelledby={title}>
      <div {...part('header')}>
        {isSettings && (
          <button {...part('button')} type="button" aria-label={strings.back} onClick={() => setSettings(false)}>
            <Icon name="back" />
          </button>
        )}
        <h2 {...part('title')} id={title}>
          {isSettings ? strings.settings : strings.notifications}
        </h2>
        {!isSettings && (
          <button {...part('button')} type="button" disabled={unread === 0} onClick={() => void client.readAll()}>
            {strings.markAllRead}
          </button>
        )}
        {settings && !isSettings && (
          <button {...part('button')} type="button" aria-label={strings.settings} onClick={() => setSettings(true)}>
            <Icon name="settings" />
          </button>
        )}
      </div>
      {isSettings ? (
        <div {...part('list')} data-scroll="">
          <Preferences />
          <Schedule />
        </div>
      ) : (
        <Tabs tabs={tabs} {...list} />
      )}
      <div {...part('footer')}>
        {status === 'live' ? <span>{strings.upToDate}</span> : <ConnectionStatus />}
        {footer}
      </div>
    </section>
  )
}
