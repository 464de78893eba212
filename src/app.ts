import type { Kysely } from 'kysely'
import type pg from 'pg'
import type { Logger } from 'pino'
import type { Config } from './config.ts'
import type { DB } from './db/tables.ts'
import type { WakeUps } from './wake-ups.ts'

/** What every part of a process is given: nothing here knows about roles, HTTP or sockets. */
export type App = {
  config: Config
  log: Logger
  /** The pool of requests, dispatching and push queries. int8 comes back as string, timestamptz as Date. */
  pool: pg.Pool
  /** Kysely over the same pool: camelCase in TypeScript, snake_case in SQL, nested JSON left alone. */
  db: Kysely<DB>
  wakeUps: WakeUps
}
