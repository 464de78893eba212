import pg from 'pg'
import { pino } from 'pino'
import { readConfig } from '../config.ts'
import { adopt } from './adopt.ts'

/**
 * `npm run adopt`: after the disk of the database was rolled back to a snapshot. That leaves no mark by which a process could
 * notice that states it has given out are not known to the database any more. Stop all processes first.
 */
const config = readConfig(process.env)
if (config.embedded) {
  console.error('DATABASE_URL is missing: the embedded server prints its address at npm start')
  process.exit(2)
}
const client = new pg.Client({ connectionString: config.databaseUrlDirect })
await client.connect()
await adopt(client, pino({ level: config.logLevel }), { onlyIfDifferent: false })
await client.end()
