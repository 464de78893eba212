import pg from 'pg'
import { runCommand } from '../command.ts'
import { databaseUrlOf } from '../db/running-embedded.ts'
import { StartError } from '../start-error.ts'
import { revokeAdmin } from './admin.ts'

/** `npm run user:revoke-admin -- <username>` */
await runCommand(async (config, [username]) => {
  if (!username) throw new StartError('Usage: npm run user:revoke-admin -- <username>')
  const pool = new pg.Pool({ connectionString: await databaseUrlOf(config), max: 1 })
  try {
    if (!(await revokeAdmin(pool, username))) throw new StartError(`There is no admin named ${username}`)
    process.stdout.write(`${username} is no admin any more\n`)
  } finally {
    await pool.end()
  }
})
