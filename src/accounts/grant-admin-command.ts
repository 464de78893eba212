import { pino } from 'pino'
import { closeApp, createApp } from '../app.ts'
import { readConfig } from '../config.ts'
import { grantAdmin } from './admin.ts'

const username = process.argv[2]
const config = readConfig(process.env)
if (!username || config.embedded) {
  process.stderr.write('Usage: DATABASE_URL=... npm run user:grant-admin -- <username>\n')
  process.exit(2)
}
const app = createApp(config, pino({ level: config.logLevel }))
const granted = await grantAdmin(app.pool, username)
await closeApp(app)
if (granted) process.stdout.write(`${username} is an admin from the next sign-in or refresh on\n`)
else {
  process.stderr.write(`There is no user named ${username}\n`)
  process.exitCode = 1
}
