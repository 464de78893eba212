import { type Logger, pino, stdSerializers } from 'pino'
import type { Config } from './config.ts'
import type { Role } from './role.ts'

/** Written to by the log and by whatever else is said, so that all lines come in their order. */
export const stdout = pino.destination(1)

/** Lines of JSON on stdout. */
export function createLogger({ logLevel }: Config, role: Role): Logger {
  return pino({ level: logLevel, base: { pid: process.pid, role }, serializers: { err: withoutClient } }, stdout)
}

/** A pool's errors carry the whole connection, which is pages long. */
function withoutClient(error: Error): object {
  const { client: _client, ...plain } = stdSerializers.err(error)
  return plain
}
