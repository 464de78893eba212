import { Plus, Trash2 } from 'lucide-react'
import type { Preferences } from 'ravenpost-client'
import { Button, IconButton } from '../../ui/button.tsx'
import { Select, SwitchRow } from '../../ui/field.tsx'
import { Alert } from '../../ui/notes.tsx'
import { moment, useNow } from '../../ui/time.tsx'
import { useLanguage, useWords } from '../words/words.tsx'
import { type Draft, NotRead, SaveBar, useDraft } from './draft.tsx'
import styles from './settings.module.css'
import { clockChanges, clockIn, nextChange, type QuietHours, weekOf } from './week.ts'

type Dnd = NonNullable<Preferences['dnd']>

const NIGHTS: QuietHours = { days: [1, 2, 3, 4, 5, 6, 7], from: '22:00', to: '07:00' }
const WEEKENDS: QuietHours = { days: [6, 7], from: '00:00', to: '00:00' }

export function QuietSection() {
  const draft = useDraft()
  const { shown } = draft
  if (!shown) return <NotRead error={draft.error} retry={() => draft.reload().catch(() => undefined)} />
  return (
    <>
      <Snooze draft={draft} until={shown.snoozeUntil ?? null} />
      <QuietHoursCard draft={draft} dnd={withOwnZone(shown.dnd)} />
      <SaveBar draft={draft} />
    </>
  )
}

/** Suggests the time zone of the device to users who have not chosen one. */
function withOwnZone(dnd: Dnd | undefined): Dnd {
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone
  if (!dnd) return { enabled: false, timeZone: own, windows: [] }
  return dnd.windows.length === 0 && dnd.timeZone === 'UTC' ? { ...dnd, timeZone: own } : dnd
}

function Snooze({ draft, until }: { draft: Draft; until: string | null }) {
  const { settings } = useWords()
  const language = useLanguage()
  const now = useNow()
  const active = until !== null && Date.parse(until) > now
  const tomorrow = new Date()
  tomorrow.setDate(tomorrow.getDate() + 1)
  tomorrow.setHours(8, 0, 0, 0)
  const inHours = (hours: number) => new Date(Date.now() + hours * 3_600_000)
  const choices = [
    [settings.snoozeFor.hour, () => inHours(1)],
    [settings.snoozeFor.four, () => inHours(4)],
    [settings.snoozeFor.tomorrow, () => tomorrow],
    [settings.snoozeFor.week, () => inHours(168)],
  ] as const
  return (
    <section className={styles.card}>
      <div>
        <h2>{settings.snooze}</h2>
        <p className={styles.hint}>{settings.snoozeHint}</p>
      </div>
      {active && (
        <Alert good>
          {settings.snoozedUntil(moment(new Date(until), language))}
          <Button onClick={() => draft.change({ snoozeUntil: null })}>{settings.wake}</Button>
        </Alert>
      )}
      <div className={styles.snooze}>
        {choices.map(([label, end]) => (
          <Button key={label} onClick={() => draft.change({ snoozeUntil: end().toISOString() })}>
            {label}
          </Button>
        ))}
      </div>
    </section>
  )
}

function QuietHoursCard({ draft, dnd }: { draft: Draft; dnd: Dnd }) {
  const { settings } = useWords()
  const language = useLanguage()
  const { windows, timeZone, enabled } = dnd
  const change = (changed: Partial<Dnd>) => draft.change({ dnd: { ...dnd, ...changed } })
  const add = (hours: QuietHours) => change({ enabled: true, windows: [...windows, hours] })
  const now = useNow()
  const next = enabled && windows.length > 0 ? nextChange(windows, timeZone, new Date(now)) : { quiet: false }
  const zones = Intl.supportedValuesOf('timeZone')
  return (
    <section className={styles.card}>
      <SwitchRow
        label={settings.dnd}
        hint={settings.dndHint}
        checked={enabled}
        onChange={({ target }) =>
          change({ enabled: target.checked, ...(target.checked && windows.length === 0 && { windows: [NIGHTS] }) })
        }
      />
      {enabled && (
        <>
          <Select
            label={settings.timeZone}
            value={timeZone}
            onChange={({ target }) => change({ timeZone: target.value })}
          >
            {[...new Set([timeZone, 'UTC', ...zones])].map((zone) => (
              <option key={zone}>{zone}</option>
            ))}
          </Select>
          {windows.map((hours, place) => (
            <Hours
              // biome-ignore lint/suspicious/noArrayIndexKey: hours have no identity but their place
              key={place}
              hours={hours}
              change={(changed) => change({ windows: windows.map((old, at) => (at === place ? changed : old)) })}
              remove={() => change({ windows: windows.filter((_, at) => at !== place) })}
            />
          ))}
          <div className={styles.actions}>
            <Button onClick={() => add({ days: [1, 2, 3, 4, 5], from: '12:00', to: '13:00' })}>
              <Plus aria-hidden="true" /> {settings.addWindow}
            </Button>
            <Button kind="quiet" onClick={() => add(NIGHTS)}>
              {settings.presets.nights}
            </Button>
            <Button kind="quiet" onClick={() => add(WEEKENDS)}>
              {settings.presets.weekends}
            </Button>
          </div>
          <Week windows={windows} timeZone={timeZone} />
          <p className={styles.hint} role="status">
            {next.at === undefined
              ? settings.neverQuiet
              : next.quiet
                ? settings.quietNow(moment(next.at, language))
                : settings.nextQuiet(moment(next.at, language))}
          </p>
        </>
      )}
    </section>
  )
}

type HoursProps = { hours: QuietHours; change(hours: QuietHours): void; remove(): void }

function Hours({ hours, change, remove }: HoursProps) {
  const { settings } = useWords()
  const names = useDayNames('short')
  const long = useDayNames('long')
  const { days, from, to } = hours
  const toggle = (day: number, on: boolean) => {
    const chosen = on ? [...days, day].sort((a, b) => a - b) : days.filter((each) => each !== day)
    // Keeps the last day, because a window needs at least one.
    if (chosen.length > 0) change({ ...hours, days: chosen })
  }
  return (
    <div className={styles.window}>
      <fieldset>
        <legend className="visually-hidden">{settings.days}</legend>
        <div className={styles.days}>
          {names.map((name, index) => (
            <label key={name}>
              <input
                type="checkbox"
                aria-label={long[index]}
                checked={days.includes(index + 1)}
                onChange={({ target }) => toggle(index + 1, target.checked)}
              />
              {name}
            </label>
          ))}
        </div>
      </fieldset>
      <div className={styles.times}>
        <label>
          {settings.from}
          <input
            type="time"
            required
            value={from}
            onChange={({ target }) => target.value && change({ ...hours, from: target.value })}
          />
        </label>
        <label>
          {settings.to}
          {to <= from && ` (${settings.nextDay})`}
          <input
            type="time"
            required
            value={to}
            onChange={({ target }) => target.value && change({ ...hours, to: target.value })}
          />
        </label>
        <IconButton label={settings.removeWindow} onClick={remove}>
          <Trash2 aria-hidden="true" />
        </IconButton>
      </div>
    </div>
  )
}

/** Names of the weekdays, Monday first. */
export function useDayNames(weekday: 'short' | 'long'): string[] {
  const format = new Intl.DateTimeFormat(useLanguage(), { weekday, timeZone: 'UTC' })
  // 1 January 2024 was a Monday.
  return Array.from({ length: 7 }, (_, day) => format.format(Date.UTC(2024, 0, 1 + day)))
}

/** The quiet hours of the week as bars, with a mark on days when the clock changes. */
function Week({ windows, timeZone }: { windows: readonly QuietHours[]; timeZone: string }) {
  const { settings } = useWords()
  const names = useDayNames('long')
  const now = new Date(useNow())
  const today = clockIn(timeZone, now).weekday
  const changes = clockChanges(timeZone, now)
  return (
    <figure className={styles.week} aria-label={settings.week}>
      {weekOf(windows).map((stretches, day) => {
        const name = names[day] ?? ''
        const by = changes.get(day)
        return (
          <div key={name} className={styles.day} data-today={day === today}>
            <span>{name}</span>
            <span
              className={styles.bar}
              role="img"
              aria-label={stretches.map(spoken).join(', ') || settings.neverQuiet}
            >
              {stretches.map(({ start, end }) => (
                <i
                  key={start}
                  style={{ insetInlineStart: `${start / 14.4}%`, inlineSize: `${(end - start) / 14.4}%` }}
                />
              ))}
            </span>
            {by !== undefined && (
              <span className={styles.dst}>{by > 0 ? settings.dstForward(name) : settings.dstBack(name)}</span>
            )}
          </div>
        )
      })}
      <div className={styles.hours} aria-hidden="true">
        {['0', '6', '12', '18', '24'].map((hour) => (
          <span key={hour}>{hour}</span>
        ))}
      </div>
    </figure>
  )
}

function spoken({ start, end }: { start: number; end: number }): string {
  const time = (minutes: number) =>
    `${String(Math.floor(minutes / 60)).padStart(2, '0')}:${String(minutes % 60).padStart(2, '0')}`
  return `${time(start)}–${time(end)}`
}
