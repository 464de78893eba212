import type { ReactNode } from 'react'
import type { Preferences } from '../index.ts'
import { usePreferences } from '../react/settings.ts'
import { useUi } from './context.tsx'
import { Icon } from './icons.tsx'

type Window = NonNullable<Preferences['dnd']>['windows'][number]
const DAYS = [1, 2, 3, 4, 5, 6, 7]
const NIGHT: Window = { days: DAYS, from: '22:00', to: '07:00' }
const HOUR_MS = 3_600_000

/** Settings for quiet hours by weekday and time zone, and for a pause of all notifications. Saves each change at once. */
export function Schedule(): ReactNode {
  const { part, strings } = useUi()
  const { preferences, save } = usePreferences()
  if (!preferences) return null
  const { dnd, snoozeUntil = null } = preferences
  const { enabled = false, windows = [] } = dnd ?? {}
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone
  const timeZone = dnd && windows.length > 0 ? dnd.timeZone : own
  const change = (part: Preferences) => void save({ ...preferences, ...part }).catch(() => {})
  const setWindows = (next: Window[], isOn = enabled) =>
    change({ dnd: { enabled: isOn && next.length > 0, timeZone, windows: next } })
  const setWindow = (at: number, part: Partial<Window>) =>
    setWindows(windows.map((window, index) => (index === at ? { ...window, ...part } : window)))
  const isPaused = snoozeUntil !== null && Date.parse(snoozeUntil) > Date.now()
  return (
    <div {...part('schedule')}>
      <fieldset>
        <legend>{strings.quiet}</legend>
        <label>
          <input
            type="checkbox"
            checked={enabled}
            onChange={({ target: { checked } }) => setWindows(windows.length > 0 ? [...windows] : [NIGHT], checked)}
          />{' '}
          {strings.quietOn}
        </label>
        {windows.map((window, index) => (
          <WindowFields
            // biome-ignore lint/suspicious/noArrayIndexKey: windows have no name but their place
            key={index}
            window={window}
            onChange={(part) => setWindow(index, part)}
            onRemove={() => setWindows(windows.filter((each) => each !== window))}
          />
        ))}
        {windows.length > 0 && (
          <p {...part('meta')}>
            {strings.timeZone}: {timeZone}
          </p>
        )}
        <button {...part('button')} type="button" onClick={() => setWindows([...windows, NIGHT], true)}>
          {strings.addWindow}
        </button>
      </fieldset>
      <fieldset>
        <legend>{strings.snooze}</legend>
        {isPaused ? (
          <>
            <p>
              {strings.snoozedUntil(
                new Intl.DateTimeFormat(strings.locale, { dateStyle: 'medium', timeStyle: 'short' }).format(
                  new Date(snoozeUntil),
                ),
              )}
            </p>
            <button {...part('button')} type="button" onClick={() => change({ snoozeUntil: null })}>
              {strings.snoozeEnd}
            </button>
          </>
        ) : (
          <>
            <button
              {...part('button')}
              type="button"
              onClick={() => change({ snoozeUntil: new Date(Date.now() + HOUR_MS).toISOString() })}
            >
              {strings.snoozeHour}
            </button>
            <button {...part('button')} type="button" onClick={() => change({ snoozeUntil: tomorrowAt(8) })}>
              {strings.snoozeMorning}
            </button>
          </>
        )}
      </fieldset>
    </div>
  )
}

function WindowFields({
  window: { days, from, to },
  onChange,
  onRemove,
}: {
  window: Window
  onChange(part: Partial<Window>): void
  onRemove(): void
}): ReactNode {
  const { part, strings } = useUi()
  const names = new Intl.DateTimeFormat(strings.locale, { weekday: 'short', timeZone: 'UTC' })
  const time = (name: string, key: 'from' | 'to', value: string) => (
    <label>
      {name}{' '}
      <input
        type="time"
        required
        value={value}
        onChange={({ target }) => target.value && onChange({ [key]: target.value })}
      />
    </label>
  )
  return (
    <fieldset {...part('field')}>
      <legend>{strings.days}</legend>
      {DAYS.map((day) => (
        <label key={day} data-day="">
          <input
            type="checkbox"
            checked={days.includes(day)}
            // A window needs at least one day.
            disabled={days.length === 1 && days[0] === day}
            onChange={({ target: { checked } }) =>
              onChange({ days: DAYS.filter((each) => (each === day ? checked : days.includes(each))) })
            }
          />
          {/* The first of January 2024 was a Monday. */}
          {names.format(Date.UTC(2024, 0, day))}
        </label>
      ))}
      {time(strings.from, 'from', from)}
      {time(strings.to, 'to', to)}
      <button {...part('button')} type="button" aria-label={strings.removeWindow} onClick={onRemove}>
        <Icon name="close" />
      </button>
    </fieldset>
  )
}

function tomorrowAt(hour: number): string {
  const time = new Date()
  time.setDate(time.getDate() + 1)
  time.setHours(hour, 0, 0, 0)
  return time.toISOString()
}
