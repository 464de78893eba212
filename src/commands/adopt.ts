import { pino } from 'pino'
import { runCommand } from '../base/process/command.ts'
import { withClient } from '../db/client.ts'
import { databaseUrlOf } from '../db/embedded/running-embedded.ts'
import { adopt } from '../notify/outbox/adopt.ts'

/**
 * `npm run adopt`: after the database's disk was reset to a snapshot. Processes cannot detect that by themselves, and
 * clients may hold states that the database no longer knows. Stop all processes first.
 */
await runCommand(async (config) => {
  const log = pino({ level: config.logLevel })
  await withClient(config.databaseUrlDirect || (await databaseUrlOf(config)), (client) =>
    adopt(client, log, { onlyIfDifferent: false }),
  )
})
