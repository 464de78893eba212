import { pino } from 'pino'
import { createApp } from '../../src/app.ts'
import { changeInbox } from '../../src/notify/inbox/lock.ts'
import { testConfig } from '../setup.ts'

/** An api process in the middle of changing an inbox, to be stopped: `node inbox-holder.ts <database url> <user id>`. */
const [, , databaseUrl = '', userId = ''] = process.argv
const app = createApp(testConfig(databaseUrl), pino({ level: 'silent' }))
await changeInbox(app, userId, () => {
  process.stdout.write('holds\n')
  return new Promise(() => setInterval(() => {}, 1000))
})
