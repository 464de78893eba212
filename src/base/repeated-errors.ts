import type { LogFn, Logger } from 'pino'

/** Maximum number of remembered errors. Beyond it, all are forgotten. */
const MOST_KINDS = 1000

/**
 * A hook of pino that writes the same error once per `everyMs` and counts the others as `repeated` in the next line,
 * because during an outage of the database every loop fails ten times a second. Errors of requests keep their line, but
 * not their stack.
 */
export function collapseRepeats(everyMs: number) {
  const kinds = new Map<string, { writtenAt: number; repeated: number }>()

  return function logMethod(this: Logger, args: Parameters<LogFn>, method: LogFn): void {
    const line = changed(this, args)
    if (line) method.apply(this, line)
  }

  /** Returns what to write instead of a line; undefined: nothing. */
  function changed(log: Logger, args: Parameters<LogFn>): Parameters<LogFn> | undefined {
    const [first, message]: unknown[] = args
    const err = isRecord(first) ? first.err : undefined
    if (!isRecord(first) || !(err instanceof Error)) return args

    const kind = `${message} ${'code' in err ? err.code : ''} ${err.message}`
    const known = kinds.get(kind)
    if (known && performance.now() - known.writtenAt < everyMs) {
      known.repeated += 1
      return 'requestId' in log.bindings()
        ? [{ ...first, err: undefined, error: err.message }, `${message}`]
        : undefined
    }
    if (!known && kinds.size >= MOST_KINDS) kinds.clear()
    kinds.set(kind, { writtenAt: performance.now(), repeated: 0 })
    return known?.repeated ? [{ ...first, repeated: known.repeated }, `${message}`] : args
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
