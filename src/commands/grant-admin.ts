import { createInterface } from 'node:readline/promises'
import pg from 'pg'
import { runCommand } from '../base/process/command.ts'
import { StartError } from '../base/process/start-error.ts'
import { databaseUrlOf } from '../db/embedded/running-embedded.ts'
import { type Candidate, findCandidate, grantAdmin } from '../social/accounts/admin.ts'

/**
 * `npm run user:grant-admin -- <username> [--yes]`: shows the user, and asks for confirmation unless `--yes` is given.
 */
await runCommand(async (config, args) => {
  const [username] = args.filter((arg) => arg !== '--yes')
  if (!username) throw new StartError('Usage: npm run user:grant-admin -- <username> [--yes]')
  const pool = new pg.Pool({ connectionString: await databaseUrlOf(config), max: 1 })
  try {
    const candidate = await findCandidate(pool, username)
    if (!candidate) throw new StartError(`There is no user named ${username}`)
    process.stdout.write(`${username}: ${describe(candidate)}\n`)
    if (!args.includes('--yes')) await confirm(username)
    await grantAdmin(pool, username)
    process.stdout.write(`${username} is an admin from the next sign-in or refresh on\n`)
  } finally {
    await pool.end()
  }
})

function describe({ id, email, verified, createdAt }: Candidate): string {
  const days = Math.floor((Date.now() - createdAt.getTime()) / 86_400_000)
  const age = `signed up ${createdAt.toISOString()}, ${days === 1 ? '1 day' : `${days} days`} ago`
  return `id ${id}, ${email ?? 'no address'} (${verified ? 'verified' : 'not verified'}), ${age}`
}

async function confirm(username: string): Promise<void> {
  if (!process.stdin.isTTY) throw new StartError('Nothing was changed: add --yes to confirm this user')
  const terminal = createInterface({ input: process.stdin, output: process.stdout })
  const answer = await terminal.question(`Make ${username} an admin? [y/N] `)
  terminal.close()
  if (!/^y(es)?$/i.test(answer.trim())) throw new StartError('Nothing was changed')
}
