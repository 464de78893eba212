/** Texts of the console, in English only, because it is for operators. */
const number = new Intl.NumberFormat('en')
const clock = new Intl.DateTimeFormat('en-GB', {
  hour: '2-digit',
  minute: '2-digit',
  second: '2-digit',
  fractionalSecondDigits: 1,
})
const day = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' })

export const count = (value: number) => number.format(value)
export const rate = (value: number) => count(value < 10 ? Math.round(value * 10) / 10 : Math.round(value))
export const estimate = (value: number, estimated: boolean) => `${estimated ? '≈ ' : ''}${count(Math.round(value))}`
export const capped = (value: number) => (value > 10_000 ? '10,000 or more' : count(value))
export const plural = (value: number, one: string, many = `${one}s`) => `${count(value)} ${value === 1 ? one : many}`
export const isAre = (value: number) => (value === 1 ? 'is' : 'are')

export function seconds(value: number): string {
  if (value < 1) return `${Math.round(value * 1000)} ms`
  if (value < 120) return `${value.toFixed(value < 10 ? 1 : 0)} s`
  if (value < 7200) return `${Math.round(value / 60)} min`
  if (value < 172_800) return `${Math.round(value / 3600)} h`
  return `${Math.round(value / 86_400)} days`
}

export function bytes(value: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let at = 0
  let left = value
  while (left >= 1000 && at < units.length - 1) {
    left /= 1000
    at += 1
  }
  return `${left.toFixed(left < 10 && at > 0 ? 1 : 0)} ${units[at]}`
}

/** Formats a time: only the clock time today, otherwise with the date. */
export function moment(at: string): string {
  const date = new Date(at)
  const isToday = date.toDateString() === new Date().toDateString()
  return isToday ? clock.format(date) : `${day.format(date)} ${clock.format(date).slice(0, 5)}`
}
