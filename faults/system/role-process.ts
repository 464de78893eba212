import { type ChildProcess, spawn } from 'node:child_process'
import { createWriteStream, type WriteStream } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { SECOND, within } from '../wait.ts'
import { nodeOptions } from './node-options.ts'

export type RoleName = 'api' | 'worker' | 'push'

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const pushWorker = fileURLToPath(new URL('push-worker.ts', import.meta.url))
const steppedClock = new URL('stepped-clock.ts', import.meta.url).href
/** Delay before a dead process is restarted, as by an orchestrator. */
const RESTART_MS = 300

/** One process of a role, which is restarted whenever it ends, as by an orchestrator. */
export class RoleProcess {
  readonly role: RoleName
  readonly name: string
  readonly port: number
  /** Unexpected exits. */
  crashes: string[] = []
  readonly #env: Record<string, string>
  readonly #script: string
  readonly #log: WriteStream
  #child: ChildProcess | undefined
  #expected = false
  #closed = false

  constructor(role: RoleName, name: string, port: number, env: Record<string, string>, logFile: string) {
    this.role = role
    this.name = name
    this.port = port
    this.#env = env
    this.#script = role === 'worker' && env.CHAOS_PUSH_CERTIFICATE ? pushWorker : main
    this.#log = createWriteStream(logFile, { flags: 'a' })
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  start(): void {
    if (this.#closed) return
    this.#expected = false
    const child = spawn(process.execPath, [...nodeOptions, '--import', steppedClock, this.#script, this.role], {
      env: { ...process.env, ...this.#env, PORT: String(this.port) },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    child.stdout.pipe(this.#log, { end: false })
    child.stderr.pipe(this.#log, { end: false })
    const onExit = () => void child.kill('SIGKILL')
    process.on('exit', onExit)
    child.once('exit', (code, signal) => {
      process.off('exit', onExit)
      if (!this.#expected) this.crashes.push(`${this.name} ended by itself (${signal ?? code})`)
      setTimeout(() => this.start(), RESTART_MS)
    })
  }

  async ready(): Promise<boolean> {
    const response = await fetch(`http://127.0.0.1:${this.port}/readyz`, { signal: AbortSignal.timeout(2 * SECOND) })
    await response.arrayBuffer()
    return response.ok
  }

  /** `kill -9`. Restarts at once. */
  async kill(): Promise<void> {
    const child = this.#child
    if (!child || child.exitCode !== null || child.signalCode !== null) return
    this.#expected = true
    const gone = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await gone
  }

  pause(): void {
    this.#child?.kill('SIGSTOP')
  }

  resume(): void {
    this.#child?.kill('SIGCONT')
  }

  /** Moves its clock to the next step of stepped-clock.ts. */
  stepClock(): void {
    this.#child?.kill('SIGUSR2')
  }

  /** SIGTERM. Returns how the process ended, and after what time. */
  async terminate(): Promise<{ code: number | string; ms: number }> {
    const child = this.#child
    if (!child) return { code: 'not running', ms: 0 }
    this.#expected = true
    const startedAt = performance.now()
    const ended = new Promise<number | string>((resolve) =>
      child.once('exit', (code, signal) => resolve(signal ?? code ?? 'unknown')),
    )
    child.kill('SIGTERM')
    const timer = setTimeout(() => child.kill('SIGKILL'), 20 * SECOND)
    const code = await ended
    clearTimeout(timer)
    return { code, ms: Math.round(performance.now() - startedAt) }
  }

  async close(): Promise<void> {
    this.#closed = true
    this.resume()
    await this.terminate()
    this.#log.end()
  }
}

/** Whether all processes report that they are ready within this time. */
export function allReady(processes: RoleProcess[], ms: number): Promise<boolean> {
  return within(ms, async () => (await Promise.all(processes.map((one) => one.ready()))).every(Boolean), 100)
}
