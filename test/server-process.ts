import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { Test } from 'tap'
import { nodeOptions } from '../faults/system/node-options.ts'
import { eventually } from './setup.ts'

const SECRET = 'a secret that only the tests know, 32 bytes and more'
const MAIN = join(import.meta.dirname, '../src/main.ts')
const PROBE = join(import.meta.dirname, 'memory-probe.ts')

/** MiB after a garbage collection: memory held by V8 and its buffers, and resident memory of the process. */
export type Memory = { heap: number; rss: number }

export type ServerProcess = { url: string; child: ChildProcess; memory(): Promise<Memory> }

/** Starts the server as operators do, in its own process, so that measurements include nothing else. */
export async function startServerProcess(
  t: Test,
  role: 'all' | 'api' | 'worker' | 'push',
  env: Record<string, string>,
): Promise<ServerProcess> {
  const child = fork(MAIN, [role], {
    env: {
      ...process.env,
      JWT_SECRET: SECRET,
      PORT: '0',
      HOST: '127.0.0.1',
      LOG_LEVEL: 'fatal',
      WEB: 'off',
      ...env,
    },
    execArgv: [...nodeOptions, '--expose-gc', '--import', PROBE],
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  const gone = once(child, 'exit')
  t.teardown(async () => {
    child.kill()
    await gone
  })
  let printed = ''
  child.stdout?.on('data', (chunk) => {
    printed += chunk
  })
  const url = await eventually(() => {
    if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}`)
    return /"readiness":"(\S+?)\/readyz"/.exec(printed)?.[1]
  }, 120)
  return { url, child, memory: () => ask(child) }
}

/** Runs a command as npm does, without a terminal. */
export async function runCommandFile(databaseUrl: string, command: string, ...args: string[]) {
  const child = spawn(process.execPath, [`src/commands/${command}.ts`, ...args], {
    env: { ...process.env, DATABASE_URL: databaseUrl, JWT_SECRET: SECRET },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  return { out, err, status: child.exitCode }
}

async function ask(child: ChildProcess): Promise<Memory> {
  child.send('memory')
  const [memory] = await once(child, 'message')
  return memory
}
