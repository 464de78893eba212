import { runCommand } from '../base/process/command.ts'
import { databaseUrlOf } from '../db/embedded/running-embedded.ts'

/** `npm run --silent database-url`: where the data is, for psql and other tools; the embedded server's port is new at every start. */
await runCommand(async (config) => {
  process.stdout.write(`${await databaseUrlOf(config)}\n`)
})
