import https from 'node:https'
import { pino } from 'pino'
import { createApp } from '../../../src/app.ts'
import { sendDeliveries } from '../../../src/notify/channels/send.ts'
import { createSenders } from '../../../src/notify/channels/senders.ts'
import { testConfig } from '../../setup.ts'

/**
 * Sends due messages in a separate process, which a test can kill: `node sender-process.ts <database url> <variables as
 * JSON> <certificate>`.
 */
const [databaseUrl = '', env = '', ca = ''] = process.argv.slice(2)
const app = createApp(testConfig(databaseUrl, JSON.parse(env)), pino({ level: 'silent' }))
await sendDeliveries({ ...app, senders: createSenders(app.config, app.pool, { pushAgent: new https.Agent({ ca }) }) })
