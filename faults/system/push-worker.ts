import https from 'node:https'
import { createOpsServer } from '../../src/api/ops-server.ts'
import { closeApp, createApp } from '../../src/app.ts'
import { endWithSignals } from '../../src/base/process/lifetime.ts'
import { readConfig } from '../../src/config.ts'
import { createLogger } from '../../src/log.ts'
import { openDatabase } from '../../src/open-database.ts'
import { startWorker } from '../../src/worker/start.ts'
import { tasks } from '../../workers/index.ts'

/** The worker role of src/main.ts, but push services on loopback are allowed. */
await endWithSignals(async (onClose) => {
  const { CHAOS_PUSH_CERTIFICATE: ca, ...env } = process.env
  const given = readConfig(env)
  const log = createLogger(given, 'worker')
  const config = await openDatabase(given, 'worker', log, onClose)
  const app = createApp(config, log)
  onClose('pool', () => closeApp(app))
  const worker = await startWorker(app, tasks, { pushAgent: new https.Agent({ ca, keepAlive: true, maxSockets: 50 }) })
  onClose('worker', () => worker.close())
  const server = await createOpsServer(app, { listenAlive: () => true })
  onClose('server', () => server.close())
  await server.listen({ host: config.host, port: config.port })
  return log
})
