import { pino } from 'pino'
import { runCommand } from '../base/process/command.ts'
import { withClient } from '../db/client.ts'
import { databaseUrlOf } from '../db/embedded/running-embedded.ts'
import { adopt } from '../notify/outbox/adopt.ts'

/**
 * `npm run adopt`: after the disk of the database was rolled back to a snapshot. That leaves no mark by which a process could
 * notice that states it has given out are not known to the database any more. Stop all processes first.
 */
await runCommand(async (config) => {
  const log = pino({ level: config.logLevel })
  await withClient(config.databaseUrlDirect || (await databaseUrlOf(config)), (client) =>
    adopt(client, log, { onlyIfDifferent: false }),
  )
})
