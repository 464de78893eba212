import { tasks } from '../workers/index.ts'
import { createOpsServer } from './api/ops-server.ts'
import { createServer } from './api/server.ts'
import { prepareWeb } from './api/web-build.ts'
import { closeApp, createApp } from './app.ts'
import { endWithSignals } from './base/process/lifetime.ts'
import { readRole } from './base/process/role.ts'
import { printWelcome } from './base/process/welcome.ts'
import { readConfig } from './config.ts'
import { createLogger } from './log.ts'
import { openDatabase } from './open-database.ts'
import { startProcessHeartbeat } from './ops/processes.ts'
import { limits } from './push/limits.ts'
import { type PushNode, startPush } from './push/server.ts'
import { adminLine, ensureAdmin } from './social/accounts/admin.ts'
import { live } from './social/live.ts'
import { writeSettings } from './worker/settings.ts'
import { startWorker } from './worker/start.ts'

/** `node src/main.ts [all|api|worker|push]`: starts the parts of one role, and stops them in reverse order. */
await endWithSignals(async (onClose) => {
  const role = readRole(process.argv[2])
  const given = readConfig(process.env)
  const log = createLogger(given, role)
  const does = (part: 'api' | 'worker' | 'push') => role === part || role === 'all'
  const web = does('api') && given.web ? prepareWeb(given.webBuild, log, onClose) : undefined
  const config = await openDatabase(given, role, log, onClose)

  const app = createApp(config, log)
  onClose('pool', () => closeApp(app))

  await writeSettings(app, role, limits).catch((err) =>
    log.warn({ err }, 'cannot update ops.settings; it shows older values'),
  )
  const heartbeat = startProcessHeartbeat(app, role)
  onClose('heartbeat', () => heartbeat.close())
  const admin = does('api') ? adminLine(app, await ensureAdmin(app)) : undefined
  if (does('worker')) {
    const worker = await startWorker(app, tasks)
    onClose('worker', () => worker.close())
  }

  let push: PushNode | undefined
  const listenAlive = () => !does('push') || push?.listenAlive() === true
  const server = does('api')
    ? await createServer(app, { listenAlive, web })
    : await createOpsServer(app, { listenAlive })
  onClose('server', () => server.close())
  if (does('push')) {
    push = await startPush(app, server.server, live)
    onClose('push', async () => push?.close())
  }
  const url = await server.listen({ host: config.host, port: config.port })
  printWelcome(role, url, config, admin, log)
  return log
})
