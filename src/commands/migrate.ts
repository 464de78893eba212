import { pino } from 'pino'
import { runCommand } from '../base/process/command.ts'
import { StartError } from '../base/process/start-error.ts'
import { migrate } from '../migrate.ts'

/** `npm run migrate` */
await runCommand(async (config) => {
  if (config.embedded)
    throw new StartError('npm run migrate needs DATABASE_URL; the embedded server is migrated at each npm start')
  const log = pino({ level: config.logLevel })
  const ran = await migrate(config.databaseUrlDirect, log)
  log.info({ ran }, ran.length > 0 ? 'migrated the database' : 'the database is already up to date')
})
