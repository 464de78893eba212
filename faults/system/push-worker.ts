import https from 'node:https'
import { closeApp, createApp } from '../../src/app.ts'
import { readConfig } from '../../src/config.ts'
import { openDatabase } from '../../src/db/open.ts'
import { endWithSignals } from '../../src/lifetime.ts'
import { createLogger } from '../../src/log.ts'
import { createOpsServer } from '../../src/ops/server.ts'
import { startWorker } from '../../src/worker.ts'
import { tasks } from '../../workers/index.ts'

/** The worker role of src/main.ts, which would refuse push services on loopback. */
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
