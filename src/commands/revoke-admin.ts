import pg from 'pg'
import { runCommand } from '../base/process/command.ts'
import { StartError } from '../base/process/start-error.ts'
import { databaseUrlOf } from '../db/embedded/running-embedded.ts'
import { revokeRole } from '../social/accounts/admin.ts'

/** `npm run user:revoke-admin -- <username>`: takes the role of an admin, operator or reader away. */
await runCommand(async (config, [username]) => {
  if (!username) throw new StartError('Usage: npm run user:revoke-admin -- <username>')
  const pool = new pg.Pool({ connectionString: await databaseUrlOf(config), max: 1 })
  try {
    if (!(await revokeRole(pool, username)))
      throw new StartError(`There is no admin, operator or reader named ${username}`)
    process.stdout.write(`${username} no longer has a role\n`)
  } finally {
    await pool.end()
  }
})
