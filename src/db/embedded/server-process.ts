import { type ChildProcess, spawn } from 'node:child_process'
import { open, readFile, rename, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { StartError } from '../../base/process/start-error.ts'
import { diskFull } from './cluster.ts'
import { processArguments } from './process-mark.ts'
import type { RunAs } from './run-as.ts'
import { memoryOfMachine, settingsFor } from './settings.ts'

const SECOND = 1000
/** Timeout of a start. Recovery after a kill may take long. */
const START_TIMEOUT = 120 * SECOND
/** Timeout for the backends of a killed postmaster to exit by themselves. Until then they use its shared memory. */
const ORPHANS_LEAVE_WITHIN = 10 * SECOND
/**
 * How a server is stopped, and the wait for each step: let clients finish, disconnect them and write a checkpoint, exit
 * at once and recover at the next start.
 */
const stopSignals = [
  ['SIGTERM', SECOND / 2],
  ['SIGINT', 4 * SECOND],
  ['SIGQUIT', 2 * SECOND],
] as const

export type ServerOptions = {
  postgres: string
  cluster: string
  port: number
  runAs: RunAs
  logFile: string
  /** Memory that the settings are for; that of the machine by default. */
  memoryBytes?: number | undefined
}

/**
 * Starts PostgreSQL and returns when it accepts connections. It has its own process group, so Ctrl-C reaches only Node,
 * which stops PostgreSQL last. If PostgreSQL exits by itself, that is an uncaught error.
 */
export async function startServer(options: ServerOptions): Promise<{ stop(): Promise<void> }> {
  const deadline = performance.now() + ORPHANS_LEAVE_WITHIN
  for (;;) {
    const child = await launch(options)
    if (await isReady(child, options.cluster)) return { stop: superviseUntilStopped(child, options) }
    const output = await readFile(options.logFile, 'utf8')
    if (!output.includes('pre-existing shared memory block') || performance.now() > deadline)
      throw startError(output, options)
    await sleep(200)
  }
}

/**
 * A killed Node leaves PostgreSQL running, so it is stopped here. If the process id in postmaster.pid now belongs to
 * another program, only the file is removed, because PostgreSQL would take that program for a server.
 */
export async function stopLeftOverServer(cluster: string, log: Logger): Promise<void> {
  const pid = Number((await readPidFile(cluster))[0])
  if (!Number.isInteger(pid) || pid < 2) return
  const command = processArguments(pid)
  if (command === undefined) return
  if (!isServerOf(command, cluster)) return rm(join(cluster, 'postmaster.pid'), { force: true })
  log.warn({ pid }, 'stopping the PostgreSQL of a killed Ravenpost process')
  const isGone = () => processArguments(pid) !== command
  for (const [signal, timeout] of stopSignals.slice(1)) {
    process.kill(pid, signal)
    if (await holds(isGone, timeout)) return
  }
  throw new StartError(`PostgreSQL (process ${pid}) in ${cluster} does not stop: kill it, then start again`)
}

const isServerOf = (command: string, cluster: string) =>
  command.includes('postgres') && command.includes(` ${cluster} `)

async function launch(options: ServerOptions): Promise<ChildProcess> {
  const { postgres, cluster, port, runAs, logFile } = options
  await rename(logFile, `${logFile}.1`).catch(() => {})
  const log = await open(logFile, 'w', 0o600)
  const settings = await settingArguments(options)
  const [command = '', ...args] = [...runAs.prefix, postgres, '-D', cluster, '-p', String(port), ...settings]
  const child = spawn(command, args, { ...runAs.ids, cwd: '/', detached: true, stdio: ['ignore', log.fd, log.fd] })
  child.once('error', () => {})
  // On every exit of Node except SIGKILL, PostgreSQL gets the signal to stop.
  const stop = () => void child.kill('SIGINT')
  process.on('exit', stop)
  child.once('exit', () => process.off('exit', stop))
  await log.close()
  return child
}

/** Passed at each start, so that no file contains outdated settings, and a data directory may move to another machine. */
async function settingArguments({ cluster, memoryBytes = memoryOfMachine() }: ServerOptions): Promise<string[]> {
  const { bavail, bsize } = await statfs(cluster)
  const settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    ...settingsFor(memoryBytes, bavail * bsize),
  }
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
}

/** Reads the status from the last line of postmaster.pid, as pg_ctl does. */
async function isReady(child: ChildProcess, cluster: string): Promise<boolean> {
  const deadline = performance.now() + START_TIMEOUT
  while (performance.now() < deadline) {
    if (child.pid === undefined || hasEnded(child)) return false
    const lines = await readPidFile(cluster)
    if (Number(lines[0]) === child.pid && lines[7]?.trim() === 'ready') return true
    await sleep(20)
  }
  await end(child)
  return false
}

function superviseUntilStopped(child: ChildProcess, { logFile }: ServerOptions): () => Promise<void> {
  const onExit = (code: number | null, signal: string | null) => {
    throw new Error(`PostgreSQL exited unexpectedly (${signal ?? code}): see ${logFile}`)
  }
  child.on('exit', onExit)
  return async () => {
    child.off('exit', onExit)
    await end(child)
  }
}

async function end(child: ChildProcess): Promise<void> {
  for (const [signal, timeout] of stopSignals) {
    if (hasEnded(child)) return
    child.kill(signal)
    if (await holds(() => hasEnded(child), timeout)) return
  }
}

const hasEnded = (child: ChildProcess) => child.exitCode !== null || child.signalCode !== null

async function holds(condition: () => boolean, timeout: number): Promise<boolean> {
  const deadline = performance.now() + timeout
  while (!condition()) {
    if (performance.now() > deadline) return false
    await sleep(20)
  }
  return true
}

async function readPidFile(cluster: string): Promise<string[]> {
  return (await readFile(join(cluster, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n')
}

function startError(output: string, { cluster, port, logFile }: ServerOptions): Error {
  if (output.includes('No space left on device')) return diskFull(cluster)
  if (output.includes('Address already in use')) return new StartError(`Another program took port ${port}: start again`)
  return new StartError(`PostgreSQL did not start (${logFile}):\n${output.trim().split('\n').slice(-10).join('\n')}`)
}
