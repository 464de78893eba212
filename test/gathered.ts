import { closeSync, openSync, readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { join, relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import tap, { type Test } from 'tap'

const FILE_TIMEOUT_MS = 600_000
/** Time after the last test in which tap reports open handles. */
const EXIT_TIMEOUT_MS = 30_000

/** The test of the file that is being imported. */
let current: Test | undefined

/**
 * Runs those files of `folder`/files.json that no other process has taken, one after another, each as a test of its own: its
 * `import t from 'tap'` gets that test.
 */
export async function runFiles(folder: string): Promise<void> {
  const paths: string[] = JSON.parse(readFileSync(join(folder, 'files.json'), 'utf8'))
  tap.setTimeout(0)
  registerHooks({ resolve: resolveTap })
  for (const [index, path] of paths.entries())
    if (isFirst(join(folder, `${index}.taken`)))
      await tap.test(relative('', path), { timeout: FILE_TIMEOUT_MS }, async (t) => {
        current = t
        await import(pathToFileURL(path).href)
      })
  tap.setTimeout(EXIT_TIMEOUT_MS)
}

export function currentTest(): Test {
  if (!current) throw new Error('no test file is being imported')
  return current
}

/** Whether no other process has made this file before. */
function isFirst(path: string): boolean {
  try {
    closeSync(openSync(path, 'wx'))
    return true
  } catch {
    return false
  }
}

/** The query makes a module of its own for every test file. */
const resolveTap: Parameters<typeof registerHooks>[0]['resolve'] = (specifier, context, nextResolve) =>
  specifier === 'tap' && context.parentURL?.endsWith('.test.ts')
    ? nextResolve(`./gathered-tap.ts?${context.parentURL}`, { ...context, parentURL: import.meta.url })
    : nextResolve(specifier, context)
