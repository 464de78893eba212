import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { glob, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { constants, setPriority } from 'node:os'
import { dirname, join } from 'node:path'
import type { Logger } from 'pino'
import type { OnClose } from '../base/process/lifetime.ts'
import { messageOf } from '../errors.ts'

const ROOT = join(import.meta.dirname, '../..')
/** The inputs of a build, relative to the root. */
const SOURCES = ['web/**/*', 'client/**/*', 'package-lock.json']
/** Characters of a failed build's output that are kept. The reason is at the end. */
const LOG_KEPT = 4000

/** The web app's folder and the state of its build. */
export type Web = {
  /** The folder of index.html. It may not exist yet. */
  dist: string
  /** `log`: the end of a failed build's output. */
  build(): { running: boolean; log?: string }
}

export const DIST = join(ROOT, 'web/dist')

/**
 * Starts a build at low priority if web/dist is missing or older than its sources, and does not wait for it. Without
 * sources or without Vite, as in the container image, serves web/dist as it is.
 */
export function prepareWeb(mayBuild: boolean, log: Logger, onClose: OnClose): Web {
  if (!mayBuild || viteCommand() === undefined) return { dist: DIST, build: () => ({ running: false }) }
  const stop = new AbortController()
  const state: { running: boolean; log?: string } = { running: true }
  const built = buildIfStale(stop.signal)
    .then(
      (done) => done && log.info('built the web app'),
      (error: unknown) => {
        if (stop.signal.aborted) return
        state.log = messageOf(error)
        log.error({ err: error }, 'cannot build the web app; run: npm run web:build')
      },
    )
    .finally(() => {
      state.running = false
    })
  onClose('build of the web app', async () => {
    stop.abort()
    await built
  })
  return { dist: DIST, build: () => state }
}

/** Returns true when web/dist was missing or stale. @throws {Error} as `buildWeb` */
export async function buildIfStale(signal?: AbortSignal): Promise<boolean> {
  const stamp = await stampOfSources()
  if ((await readFile(join(DIST, 'stamp'), 'utf8').catch(() => '')) === stamp) return false
  await buildWeb(signal, stamp)
  return true
}

/**
 * Builds into a temporary folder and then replaces web/dist, so that no request gets a partial build.
 * @throws {Error} whose message is the end of Vite's output
 */
export async function buildWeb(signal?: AbortSignal, stamp?: string): Promise<void> {
  const made = join(ROOT, `web/.dist-${process.pid}`)
  const old = `${made}-old`
  try {
    const madeOf = stamp ?? (await stampOfSources())
    await runVite(made, signal)
    await writeFile(join(made, 'stamp'), madeOf)
    if (existsSync(DIST)) await rename(DIST, old)
    await rename(made, DIST)
  } finally {
    await Promise.all([made, old].map((folder) => rm(folder, { recursive: true, force: true })))
  }
}

function viteCommand(): string | undefined {
  try {
    const packageJson = createRequire(import.meta.url).resolve('vite/package.json')
    return existsSync(join(ROOT, 'web/vite.config.ts')) ? join(dirname(packageJson), 'bin/vite.js') : undefined
  } catch {
    return undefined
  }
}

function runVite(outDir: string, signal: AbortSignal | undefined): Promise<void> {
  const vite = viteCommand()
  if (vite === undefined) throw new Error('Vite is not installed: run npm ci')
  const child = spawn(process.execPath, [vite, 'build', '--outDir', outDir, '--emptyOutDir', '--logLevel', 'warn'], {
    cwd: join(ROOT, 'web'),
    env: { ...process.env, NODE_ENV: 'production' },
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
  })
  let printed = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      printed = (printed + text).slice(-LOG_KEPT)
    })
  // Only a build in the background can be aborted, and nobody waits for it.
  if (signal && child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_LOW)
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(printed || `vite ended with ${code}`))))
  })
}

/** A hash of the names and contents of all sources. */
async function stampOfSources(): Promise<string> {
  const hash = createHash('sha256')
  const isOutput = (name: string) => name === 'node_modules' || name === 'dist' || name.startsWith('.dist-')
  const files: string[] = []
  for await (const entry of glob(SOURCES, {
    cwd: ROOT,
    withFileTypes: true,
    exclude: ({ name }) => isOutput(name),
  }))
    if (entry.isFile()) files.push(join(entry.parentPath, entry.name))
  for (const file of files.sort()) hash.update(`${file.slice(ROOT.length)}\0`).update(await readFile(file))
  return hash.digest('hex')
}
