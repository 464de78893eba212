import { runCommand } from '../base/process/command.ts'
import { databaseUrlOf } from '../db/embedded/running-embedded.ts'

/**
 * `npm run --silent database-url`: the database's URL, for psql and other tools. The port of the embedded server
 * changes at every start.
 */
await runCommand(async (config) => {
  process.stdout.write(`${await databaseUrlOf(config)}\n`)
})
