import { setTimeout as delay } from 'node:timers/promises'

export const SECOND = 1000

export const sleep = (ms: number) => delay(ms)

/** Asks until `condition` holds; returns false when it did not within `ms`. An error counts as no. */
export async function within(ms: number, condition: () => Promise<boolean> | boolean, everyMs = 50): Promise<boolean> {
  const deadline = Date.now() + ms
  for (;;) {
    if (await Promise.resolve(condition()).catch(() => false)) return true
    if (Date.now() > deadline) return false
    await sleep(everyMs)
  }
}

/** A port that nobody has now. */
export async function freePort(): Promise<number> {
  const { createServer } = await import('node:net')
  const probe = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => probe.once('listening', resolve))
  const address = probe.address()
  await new Promise((resolve) => probe.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no free port on 127.0.0.1')
  return address.port
}
