import { type Logger, pino, stdSerializers } from 'pino'
import type { Role } from './base/process/role.ts'
import { collapseRepeats } from './base/repeated-errors.ts'
import type { Config } from './config.ts'

/** Minimum time between two log lines of the same error. */
const SAME_ERROR_EVERY_MS = 10_000

/** Stream of the log and of all other output, so that lines keep their order. */
export const stdout = pino.destination(1)

/** Lines of JSON on stdout. */
export function createLogger({ logLevel }: Config, role: Role): Logger {
  const hooks = { logMethod: collapseRepeats(SAME_ERROR_EVERY_MS) }
  return pino(
    { level: logLevel, base: { pid: process.pid, role }, serializers: { err: withoutSecrets }, hooks },
    stdout,
  )
}

/** Omits `client`, because the errors of a pool contain the whole connection, and `input`, a URL that is not valid. */
export function withoutSecrets(error: Error): object {
  const { client: _client, input: _input, ...plain } = stdSerializers.err(error)
  return plain
}
