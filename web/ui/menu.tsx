import { type KeyboardEvent, type ReactNode, type ToggleEvent, useId, useRef } from 'react'
import styles from './overlay.module.css'

type MenuProps = {
  /** Gets the attributes that make a button open the menu. */
  trigger(attributes: {
    popoverTarget: string
    'aria-haspopup': 'menu'
    ref(button: HTMLElement | null): void
  }): ReactNode
  label: string
  /** Buttons and links with role="menuitem". */
  children: ReactNode
}

const GAP = 6

/** A popover below its button, or above it where there is no room; arrows move, and every item closes it. */
export function Menu({ trigger, label, children }: MenuProps) {
  const id = useId()
  const menu = useRef<HTMLDivElement>(null)
  const button = useRef<HTMLElement>(null)
  const items = () => [...(menu.current?.querySelectorAll<HTMLElement>('[role=menuitem]') ?? [])]

  const place = (event: ToggleEvent<HTMLDivElement>) => {
    if (event.newState !== 'open' || !menu.current || !button.current) return
    const [at, own] = [button.current.getBoundingClientRect(), menu.current.getBoundingClientRect()]
    const below = at.bottom + GAP + own.height < window.innerHeight
    const rtl = getComputedStyle(menu.current).direction === 'rtl'
    const left = rtl ? at.left : at.right - own.width
    menu.current.style.top = `${below ? at.bottom + GAP : Math.max(GAP, at.top - GAP - own.height)}px`
    menu.current.style.left = `${Math.min(Math.max(GAP, left), window.innerWidth - own.width - GAP)}px`
    items()[0]?.focus({ preventScroll: true })
  }

  const move = (event: KeyboardEvent) => {
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1 }
    const step = steps[event.key]
    // A list around the menu has keys of its own.
    event.stopPropagation()
    if (step === undefined) return
    event.preventDefault()
    const all = items()
    const now = all.indexOf(document.activeElement as HTMLElement)
    all[(now + step + all.length) % all.length]?.focus()
  }

  return (
    <>
      {trigger({
        popoverTarget: id,
        'aria-haspopup': 'menu',
        ref: (element) => {
          button.current = element
        },
      })}
      <div
        ref={menu}
        id={id}
        popover="auto"
        role="menu"
        tabIndex={-1}
        aria-label={label}
        className={styles.menu}
        onToggle={place}
        onKeyDown={move}
        onClick={(event) => (event.target as Element).closest('[role=menuitem]') && menu.current?.hidePopover()}
      >
        {children}
      </div>
    </>
  )
}
