import pg from 'pg'
import { runCommand } from '../command.ts'
import { databaseUrlOf } from '../db/running-embedded.ts'
import { StartError } from '../start-error.ts'
import { grantAdmin } from './admin.ts'

/** `npm run user:grant-admin -- <username>` */
await runCommand(async (config, [username]) => {
  if (!username) throw new StartError('Usage: npm run user:grant-admin -- <username>')
  const pool = new pg.Pool({ connectionString: await databaseUrlOf(config), max: 1 })
  try {
    if (!(await grantAdmin(pool, username))) throw new StartError(`There is no user named ${username}`)
    process.stdout.write(`${username} is an admin from the next sign-in or refresh on\n`)
  } finally {
    await pool.end()
  }
})
