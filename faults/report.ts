import type { Result } from './run.ts'
import { SECOND } from './wait.ts'

/** True if nothing was lost, doubled or otherwise broken, however long it took. */
export function isGood({ lost, doubled, broken }: Result): boolean {
  return lost.length + doubled.length + broken.length === 0
}

export function printHeading(): void {
  console.log('scenario                      lost  doubled  recovery  completed   ratio  seconds')
}

export function print(result: Result, undisturbed: Result): void {
  const { name, lost, doubled, broken, offered, completed, notes, seconds } = result
  console.log(
    [
      name.padEnd(28),
      ...[String(lost.length).padStart(6), String(doubled.length).padStart(9), recovery(result).padStart(10)],
      ...[`${completed}/${offered}`.padStart(12), ratio(result, undisturbed).toFixed(3).padStart(7)],
      String(seconds).padStart(8),
      isGood(result) ? '' : ' FAILED',
    ].join(''),
  )
  for (const note of notes) console.log(`    ${note}`)
  for (const [kind, list] of Object.entries({ lost, doubled, broken })) {
    for (const what of list.slice(0, 5)) console.log(`    ${kind}: ${what}`)
    if (list.length > 5) console.log(`    ${kind}: and ${list.length - 5} more`)
  }
}

/** Share of the requests that succeeded before the client's timeout, relative to the undisturbed run. */
export function ratio(result: Result, undisturbed: Result): number {
  return result.completed / result.offered / (undisturbed.completed / undisturbed.offered)
}

export function recovery({ recoveryMs }: Result): string {
  return recoveryMs === null ? '> 60 s' : `${(recoveryMs / SECOND).toFixed(1)} s`
}
