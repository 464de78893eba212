import type { Logger } from 'pino'

/** Calls `work` again and again, `intervalMs` after it ended; an error is logged and the next turn tries again. */
export function repeat(
  intervalMs: number,
  log: Logger,
  name: string,
  work: () => Promise<void>,
): { close(): Promise<void> } {
  let timer: NodeJS.Timeout | undefined
  let turn: Promise<void> = Promise.resolve()
  let closed = false

  const next = () => {
    turn = work()
      .catch((error) => log.warn({ err: error }, `${name} failed; retrying`))
      .then(() => {
        if (!closed) timer = setTimeout(next, intervalMs)
      })
  }
  next()

  return {
    async close() {
      closed = true
      clearTimeout(timer)
      await turn
    },
  }
}
