import type { Preferences } from 'ravenpost-client'

export type QuietHours = NonNullable<Preferences['dnd']>['windows'][number]

/** A period within one day, in minutes of local time. `end` is at most 1440. */
export type Stretch = { start: number; end: number }

const DAY_MINUTES = 1440
const minutesOf = (time: string) => Number(time.slice(0, 2)) * 60 + Number(time.slice(3))

/** The quiet periods of each day, Monday first. A window that ends before it begins continues into the next day. */
export function weekOf(windows: readonly QuietHours[]): Stretch[][] {
  const week: Stretch[][] = Array.from({ length: 7 }, () => [])
  for (const { days, from, to } of windows) {
    const [start, end] = [minutesOf(from), minutesOf(to)]
    for (const day of days) {
      if (end > start) week[day - 1]?.push({ start, end })
      else {
        week[day - 1]?.push({ start, end: DAY_MINUTES })
        if (end > 0) week[day % 7]?.push({ start: 0, end })
      }
    }
  }
  return week
}

/** Minutes of local time since the beginning of Monday, and the date, in a time zone. */
export function clockIn(timeZone: string, at: Date): { minute: number; weekday: number } {
  const parts = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  }).formatToParts(at)
  const part = (type: string) => parts.find((each) => each.type === type)?.value ?? ''
  const weekday = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'].indexOf(part('weekday'))
  return { weekday, minute: weekday * DAY_MINUTES + Number(part('hour')) * 60 + Number(part('minute')) }
}

/**
 * Returns whether it is quiet, and when that changes next. Checks the next eight days in real time, so that clock
 * changes count.
 */
export function nextChange(windows: readonly QuietHours[], timeZone: string, now: Date): { quiet: boolean; at?: Date } {
  const week = weekOf(windows)
  const isQuiet = (at: Date) => {
    const { weekday, minute } = clockIn(timeZone, at)
    const ofDay = minute - weekday * DAY_MINUTES
    return week[weekday]?.some(({ start, end }) => ofDay >= start && ofDay < end) ?? false
  }
  const quiet = isQuiet(now)
  // Checks each quarter of an hour first, then the minutes of the quarter in which it changed.
  const QUARTER = 15 * 60_000
  const start = Math.floor(now.getTime() / 60_000) * 60_000
  for (let quarter = start + QUARTER; quarter < start + 8 * DAY_MINUTES * 60_000; quarter += QUARTER) {
    if (isQuiet(new Date(quarter)) === quiet) continue
    for (let minute = quarter - QUARTER + 60_000; minute <= quarter; minute += 60_000)
      if (isQuiet(new Date(minute)) !== quiet) return { quiet, at: new Date(minute) }
  }
  return { quiet }
}

/** Clock changes within the next 7 days: the difference in minutes by weekday, where Monday is 0. */
export function clockChanges(timeZone: string, now: Date): Map<number, number> {
  const offset = (at: Date) => {
    const { minute } = clockIn(timeZone, at)
    const utc = clockIn('UTC', at).minute
    const difference = minute - utc
    return difference > 5040 ? difference - 10_080 : difference < -5040 ? difference + 10_080 : difference
  }
  const changes = new Map<number, number>()
  for (let day = 0; day < 7; day += 1) {
    const [from, to] = [new Date(now.getTime() + day * 86_400_000), new Date(now.getTime() + (day + 1) * 86_400_000)]
    const by = offset(to) - offset(from)
    if (by !== 0) changes.set(clockIn(timeZone, to).weekday, by)
  }
  return changes
}
