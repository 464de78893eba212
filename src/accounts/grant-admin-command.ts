import pg from 'pg'
import { readConfig } from '../config.ts'
import { runningEmbeddedUrl } from '../db/running-embedded.ts'
import { grantAdmin } from './admin.ts'

const username = process.argv[2]
if (!username) end('Usage: npm run user:grant-admin -- <username>')
const config = readConfig(process.env)
const url = config.embedded ? await runningEmbeddedUrl(config.dataDir) : config.databaseUrl
if (!url) end(`No Ravenpost runs in ${config.dataDir}: start it first, or set DATABASE_URL`)

const pool = new pg.Pool({ connectionString: url, max: 1 })
try {
  if (!(await grantAdmin(pool, username))) end(`There is no user named ${username}`)
  process.stdout.write(`${username} is an admin from the next sign-in or refresh on\n`)
} finally {
  await pool.end()
}

function end(message: string): never {
  process.stderr.write(`${message}\n`)
  process.exit(1)
}
