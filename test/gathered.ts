import { registerHooks } from 'node:module'
import { relative } from 'node:path'
import { pathToFileURL } from 'node:url'
import tap, { type Test } from 'tap'

const FILE_TIMEOUT_MS = 300_000

/** The test of the file that is being imported. */
let current: Test | undefined

/** Runs test files in this process, one after another, each as a test of its own: its `import t from 'tap'` gets that test. */
export async function runFiles(paths: string[]): Promise<void> {
  tap.setTimeout(0)
  registerHooks({ resolve: resolveTap })
  for (const path of paths)
    await tap.test(relative('', path), { timeout: FILE_TIMEOUT_MS }, async (t) => {
      current = t
      await import(pathToFileURL(path).href)
    })
}

export function currentTest(): Test {
  if (!current) throw new Error('no test file is being imported')
  return current
}

/** The query makes a module of its own for every test file. */
const resolveTap: Parameters<typeof registerHooks>[0]['resolve'] = (specifier, context, nextResolve) =>
  specifier === 'tap' && context.parentURL?.endsWith('.test.ts')
    ? nextResolve(`./gathered-tap.ts?${context.parentURL}`, { ...context, parentURL: import.meta.url })
    : nextResolve(specifier, context)
