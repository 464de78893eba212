import { type Logger, pino } from 'pino'
import { withoutSecrets } from '../../log.ts'
import { reasonOfStartError } from './start-error.ts'

const SECOND = 1000
/** Orchestrators kill after 10 s. Unfinished work is aborted, and the next start finds it. */
const STOP_WITHIN = 9 * SECOND
/** Under npm, Ctrl-C arrives twice, from the terminal and from npm. A second signal within this time is ignored. */
const SAME_SIGNAL_WITHIN = SECOND

export type OnClose = (part: string, close: () => Promise<unknown>) => void

/**
 * Runs `start`, which registers how to stop each part it has started. SIGTERM or SIGINT stops them in reverse order; a
 * second signal exits immediately. An uncaught error exits with status 1.
 */
export async function endWithSignals(start: (onClose: OnClose) => Promise<Logger>): Promise<void> {
  const parts: { part: string; close: () => Promise<unknown> }[] = []
  let log: Logger = pino({ serializers: { err: withoutSecrets } })
  let stoppingSince: number | undefined

  const stop = async (exitCode: number): Promise<void> => {
    stoppingSince = performance.now()
    setTimeout(() => {
      log.error({ parts: parts.map(({ part }) => part) }, 'some parts did not stop in time; exiting anyway')
      process.exit(1)
    }, STOP_WITHIN)
    for (let last = parts.at(-1); last; last = parts.at(-1)) {
      await last.close().catch((err) => log.error({ err, part: last?.part }, 'a part failed to stop'))
      parts.pop()
    }
    process.exit(exitCode)
  }

  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    process.on(signal, () => {
      if (stoppingSince === undefined) {
        log.info({ signal }, 'stopping; a second signal exits immediately')
        void stop(0)
      } else if (performance.now() - stoppingSince > SAME_SIGNAL_WITHIN) process.exit(1)
    })

  process.on('uncaughtException', (err) => {
    log.fatal({ err }, 'uncaught error')
    process.exit(1)
  })

  try {
    log = await start((part, close) => parts.push({ part, close }))
  } catch (error) {
    const reason = reasonOfStartError(error)
    if (reason === undefined) log.fatal({ err: error }, 'Ravenpost cannot start')
    else process.stderr.write(`${reason}\n`)
    await stop(1)
  }
}
