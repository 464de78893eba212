import { pino } from 'pino'
import { readConfig } from '../config.ts'
import { migrate } from './migrate.ts'

const config = readConfig(process.env)
const log = pino({ level: config.logLevel })
if (config.embedded) {
  log.error('npm run migrate needs DATABASE_URL; the embedded server is migrated at each npm start')
  process.exit(1)
}
const ran = await migrate(config.databaseUrlDirect, log)
log.info({ ran }, ran.length > 0 ? 'the database is up to date now' : 'the database was up to date')
