import pg from 'pg'
import { runCommand } from '../base/process/command.ts'
import { StartError } from '../base/process/start-error.ts'
import { databaseUrlOf } from '../db/embedded/running-embedded.ts'
import { revokeAdmin } from '../social/accounts/admin.ts'

/** `npm run user:revoke-admin -- <username>` */
await runCommand(async (config, [username]) => {
  if (!username) throw new StartError('Usage: npm run user:revoke-admin -- <username>')
  const pool = new pg.Pool({ connectionString: await databaseUrlOf(config), max: 1 })
  try {
    if (!(await revokeAdmin(pool, username))) throw new StartError(`There is no admin named ${username}`)
    process.stdout.write(`${username} is no longer an admin\n`)
  } finally {
    await pool.end()
  }
})
