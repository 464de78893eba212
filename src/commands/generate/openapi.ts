import { pino } from 'pino'
import { createServer } from '../../api/server.ts'
import { closeApp, createApp } from '../../app.ts'
import { readConfig } from '../../config.ts'

// No query runs, so the URL only has to be well-formed.
const config = readConfig({
  DATABASE_URL: 'postgres://nobody@localhost/none',
  JWT_SECRET: 'not used to sign anything'.padEnd(32),
})
const app = createApp(config, pino({ level: 'silent' }))
const server = await createServer(app)
await server.ready()
process.stdout.write(`${JSON.stringify(server.swagger(), null, 2)}\n`)
await server.close()
await closeApp(app)
