import { pino } from 'pino'
import { createApp } from '../../src/app.ts'
import { startWorker } from '../../src/worker/start.ts'
import { tasks } from '../../workers/index.ts'
import { testConfig } from '../setup.ts'

/** The worker role in a process of its own, to be killed or stopped: `node worker-process.ts <database url>`. */
const app = createApp(testConfig(String(process.argv[2]), { SWEEP_INTERVAL_MS: '1000' }), pino({ level: 'warn' }))
await startWorker(app, tasks)
