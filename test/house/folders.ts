import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'

const root = join(import.meta.dirname, '../..')

/** The rooms of `src`, and of which other rooms each may import. `workers` are the jobs of the room `worker`. */
export const mayImport: Record<string, string[]> = {
  base: [],
  protocol: ['base'],
  db: ['base'],
  http: ['base', 'db', 'protocol'],
  notify: ['base', 'db', 'http', 'protocol'],
  social: ['base', 'db', 'http', 'notify', 'protocol'],
  push: ['base', 'db', 'http', 'notify', 'protocol'],
  ops: ['base', 'db', 'http', 'notify', 'protocol'],
  api: ['base', 'db', 'http', 'notify', 'ops', 'protocol', 'push', 'social'],
  worker: ['base', 'db', 'http', 'notify', 'ops', 'protocol', 'social', 'workers'],
  workers: ['base', 'db', 'http', 'notify', 'ops', 'protocol', 'social', 'worker'],
}

/** Files of `src` itself that every room may import. */
const groundFloor = new Set(['src/config.ts', 'src/errors.ts', 'src/log.ts'])
/** The type of the services of a process. Every room receives an app, so every room may import its type. */
const app = 'src/app.ts'

export type Import = { from: string; to: string; typeOnly: boolean }

/** The source files, by path from the top of the repository. */
export function sourceFiles(): string[] {
  return ['src', 'workers'].flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((file) => file.endsWith('.ts'))
      .map((file) => join(folder, file)),
  )
}

/** Every import and re-export of one of our files by another, of types too. */
export function imports(): Import[] {
  return sourceFiles().flatMap((from) => {
    const source = readFileSync(join(root, from), 'utf8')
    return [...source.matchAll(/^(import|export)\s+(type\s)?[^'"]*?from '(\.[^']+)'|\bimport\(\s*'(\.[^']+)'/gm)].map(
      ([, , type, named, dynamic]) => ({
        from,
        to: normalize(join(dirname(from), named ?? dynamic ?? '')),
        typeOnly: type !== undefined,
      }),
    )
  })
}

/** The room of a file: the first folder below `src`; undefined for the files above all rooms, which may import anything. */
export function roomOf(file: string): string | undefined {
  if (groundFloor.has(file)) return 'base'
  const [top, room] = relative('.', file).split('/')
  if (top === 'workers') return 'workers'
  return room?.endsWith('.ts') || room === 'commands' ? undefined : room
}

/** Whether an import leads from a room to one that it may not know. */
export function isAgainstTheDirection({ from, to, typeOnly }: Import): boolean {
  const [own, other] = [roomOf(from), roomOf(to)]
  if (own === undefined || own === other) return false
  if (to === app) return !typeOnly
  return other === undefined || !mayImport[own]?.includes(other)
}

/** Files that a program loads which starts with this one. */
export function filesBehind(entry: string, all = imports()): Set<string> {
  const found = new Set([entry])
  for (const file of found) for (const { from, to, typeOnly } of all) if (from === file && !typeOnly) found.add(to)
  return found
}

/** `node test/house/folders.ts` prints the figures, and the rooms as a Mermaid diagram. */
if (import.meta.main) {
  const all = imports()
  const arrows = new Map<string, number>()
  for (const { from, to } of all) {
    const [own, other] = [roomOf(from), roomOf(to)]
    if (own === undefined || other === undefined || own === other) continue
    arrows.set(`${own} --> ${other}`, (arrows.get(`${own} --> ${other}`) ?? 0) + 1)
  }
  const folders = Map.groupBy(sourceFiles(), (file) => dirname(file))
  const largest = [...folders].sort(([, a], [, b]) => b.length - a.length).slice(0, 5)
  console.log(`files ${sourceFiles().length}, imports ${all.length}`)
  console.log(`imports against the direction: ${all.filter(isAgainstTheDirection).length}`)
  console.log(`largest folders: ${largest.map(([folder, files]) => `${folder} ${files.length}`).join(', ')}`)
  console.log('\nflowchart TD')
  for (const [arrow, count] of [...arrows].sort()) console.log(`  ${arrow.replace('-->', `-- ${count} -->`)}`)
}
