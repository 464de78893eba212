import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'vite'

export type Budget = { imports: string[]; limit: number }

export async function budgets(): Promise<Record<string, Budget>> {
  return JSON.parse(await readFile(join(import.meta.dirname, '../../client/sizes.json'), 'utf8'))
}

/** Kilobytes (1000 octets) of a bundle made in a folder, minified and gzipped, without React. */
export async function sizeOf(folder: string, imports: string[]): Promise<number> {
  const entry = join(folder, 'size.js')
  await writeFile(entry, imports.map((from) => (from.startsWith('{') ? `export ${from}` : `import ${from}`)).join('\n'))
  const built = await build({
    root: folder,
    configFile: false,
    logLevel: 'error',
    build: {
      write: false,
      minify: true,
      target: 'es2022',
      rollupOptions: { input: entry, preserveEntrySignatures: 'strict', external: [/^react/, /^@tanstack/] },
    },
  })
  if (!Array.isArray(built) && !('output' in built)) throw new Error('Vite watches instead of building')
  const files = [built].flat().flatMap(({ output }) => output)
  const octets = files.map((file) => gzipSync(file.type === 'chunk' ? file.code : file.source, { level: 9 }).length)
  return octets.reduce((sum, each) => sum + each, 0) / 1000
}
