import { spawn } from 'node:child_process'
import { createWriteStream } from 'node:fs'
import { join } from 'node:path'
import { nodeOptions } from '../../faults/system/node-options.ts'

const READY_WITHIN_MS = 120_000

export type Started = {
  name: string
  pid: number
  /** Text matched by the first group of `ready`. */
  url: string
  signal(signal: NodeJS.Signals): void
  /** Ends it with SIGTERM and waits. */
  stop(): Promise<void>
  /** Ends it with SIGKILL and waits. */
  kill(): Promise<void>
}

export type ProcessOptions = {
  name: string
  command: string
  args: string[]
  env?: Record<string, string>
  /** Matches the line that the program prints when it is ready. */
  ready: RegExp
  /** Runs it in its own process group, which is signalled as a whole, because npm does not forward every signal. */
  group?: boolean
}

/** Starts a program and returns when it prints that it is ready. Stores its output beside the profiles, if profiling is on. */
export async function startProcess(options: ProcessOptions): Promise<Started> {
  const { name, command, args, env, ready, group = false } = options
  const child = spawn(command, args, {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: group,
  })
  const send = (signal: NodeJS.Signals) => {
    if (!group || !child.pid) return void child.kill(signal)
    try {
      process.kill(-child.pid, signal)
    } catch {
      // No process of the group is left.
    }
  }
  const folder = process.env.BENCH_PROFILE
  const file = folder ? createWriteStream(join(folder, `${name}.log`), { flags: 'a' }) : undefined
  let said = ''
  const exited = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const killWithUs = () => send('SIGKILL')
  process.on('exit', killWithUs)
  void exited.then(() => process.off('exit', killWithUs))

  const url = await new Promise<string>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${name} is not ready in time:\n${said}`)), READY_WITHIN_MS)
    const hear = (chunk: Buffer) => {
      file?.write(chunk)
      said = (said + chunk.toString()).slice(-10_000)
      const match = ready.exec(said)
      if (match) resolve(match[1] ?? '')
      if (match) clearTimeout(timer)
    }
    child.stdout.on('data', hear)
    child.stderr.on('data', hear)
    child.stderr.on('data', (chunk) => process.stderr.write(`${name}: ${chunk}`))
    child.once('error', reject)
    child.once('exit', (code, signal) => reject(new Error(`${name} ended (${signal ?? code}):\n${said}`)))
  })
  const end = (signal: NodeJS.Signals) => {
    send(signal)
    return exited
  }
  return {
    name,
    pid: child.pid ?? 0,
    url,
    signal: send,
    stop: () => end('SIGTERM'),
    kill: () => end('SIGKILL'),
  }
}

/** Starts a Node program of this repository. With BENCH_PROFILE=<folder>, it writes a CPU profile there when it ends. */
export function startNode(
  name: string,
  script: URL,
  args: string[],
  env: Record<string, string>,
  ready: RegExp,
): Promise<Started> {
  const folder = process.env.BENCH_PROFILE
  const profile = folder ? ['--cpu-prof', `--cpu-prof-dir=${folder}`, `--cpu-prof-name=${name}.cpuprofile`] : []
  const all = [...nodeOptions, ...profile, script.pathname, ...args]
  return startProcess({ name, command: process.execPath, args: all, env, ready })
}
