import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import { freePort } from '../../../src/db/embedded/free-port.ts'

const run = promisify(execFile)

/** The tools of a server that is installed as Debian does it; the embedded server brings neither pg_dump nor pg_basebackup. */
const debian = '/usr/lib/postgresql/15/bin'

export const skipWithoutTools = { skip: !existsSync(debian) && 'needs pg_dump and pg_basebackup' }

/** A program of PostgreSQL's, run by who runs the tests. */
export async function tool(name: string, ...args: string[]): Promise<string> {
  return (await run(join(debian, name), args)).stdout
}

export type Cluster = { dir: string; url: string; port: number; stop: () => Promise<void> }

export async function startCluster(t: Test, settings = ''): Promise<Cluster> {
  const dir = await clusterDir(t)
  await asPostgres('initdb', ['-D', join(dir, 'data'), '-A', 'trust', '-U', 'postgres', '--no-sync'])
  return startPostgres(t, dir, settings)
}

export async function startStandby(t: Test, primary: Cluster): Promise<Cluster> {
  const dir = await clusterDir(t)
  const data = join(dir, 'data')
  await asPostgres('pg_basebackup', ['-D', data, '-R', '-X', 'stream', '-c', 'fast', '-d', primary.url])
  return startPostgres(t, dir)
}

async function clusterDir(t: Test): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'ravenpost-cluster-'))
  t.teardown(() => rm(dir, { recursive: true, force: true }))
  if (process.getuid?.() === 0) await run('chown', ['postgres', dir])
  return dir
}

async function startPostgres(t: Test, dir: string, settings = ''): Promise<Cluster> {
  const port = await freePort()
  const control = (...args: string[]) => asPostgres('pg_ctl', ['-D', join(dir, 'data'), '-w', ...args])
  await control('-o', `-p ${port} -k ${dir} -c fsync=off -h 127.0.0.1 ${settings}`, '-l', join(dir, 'log'), 'start')
  let running = true
  const stop = async () => {
    if (running) await control('-m', 'immediate', 'stop')
    running = false
  }
  t.teardown(stop)
  return { dir, port, url: `postgres://postgres@127.0.0.1:${port}/postgres`, stop }
}

/** PostgreSQL does not run as root. */
export async function asPostgres(name: string, args: string[]): Promise<void> {
  const command = join(debian, name)
  if (process.getuid?.() === 0) await run('runuser', ['-u', 'postgres', '--', command, ...args])
  else await run(command, args)
}
