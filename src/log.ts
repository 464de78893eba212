import { type Logger, pino, stdSerializers } from 'pino'
import type { Role } from './base/process/role.ts'
import { collapseRepeats } from './base/repeated-errors.ts'
import type { Config } from './config.ts'

/** The same error is written so often at most. */
const SAME_ERROR_EVERY_MS = 10_000

/** Written to by the log and by whatever else is said, so that all lines come in their order. */
export const stdout = pino.destination(1)

/** Lines of JSON on stdout. */
export function createLogger({ logLevel }: Config, role: Role): Logger {
  const hooks = { logMethod: collapseRepeats(SAME_ERROR_EVERY_MS) }
  return pino({ level: logLevel, base: { pid: process.pid, role }, serializers: { err: withoutClient }, hooks }, stdout)
}

/** A pool's errors carry the whole connection, which is pages long. */
function withoutClient(error: Error): object {
  const { client: _client, ...plain } = stdSerializers.err(error)
  return plain
}
