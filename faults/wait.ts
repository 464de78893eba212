import { setTimeout as delay } from 'node:timers/promises'

export const SECOND = 1000

export const sleep = (ms: number) => delay(ms)

/** Repeats `condition` until it is true. Returns false when it was not within `ms`. An error counts as false. */
export async function within(ms: number, condition: () => Promise<boolean> | boolean, everyMs = 50): Promise<boolean> {
  const deadline = Date.now() + ms
  for (;;) {
    if (await Promise.resolve(condition()).catch(() => false)) return true
    if (Date.now() > deadline) return false
    await sleep(everyMs)
  }
}
