import { readdirSync, readFileSync } from 'node:fs'

/** A process of a stack, whose cost includes that of its children. */
export type Root = { name: string; pid: number }

/** Every Linux that Node supports has 100 clock ticks per second (`getconf CLK_TCK`). */
const MS_PER_TICK = 10

/** CPU milliseconds by name: of each process, its living children, and its ended children. */
export function cpuMs(roots: Root[]): Record<string, number> {
  const all = readProcesses()
  return Object.fromEntries(roots.map(({ name, pid }) => [name, ticksOf(pid, all) * MS_PER_TICK]))
}

export function difference(after: Record<string, number>, before: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(after).map(([name, value]) => [name, value - (before[name] ?? 0)]))
}

/** Resident memory in bytes. */
export function residentBytes(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kib ?? 0) * 1024
}

export function descendantsOf(pid: number, all = readProcesses()): number[] {
  const children = [...all].filter(([, { parent }]) => parent === pid).map(([child]) => child)
  return children.flatMap((child) => [child, ...descendantsOf(child, all)])
}

type Process = { parent: number; ticks: number }

function ticksOf(pid: number, all: Map<number, Process>): number {
  const own = all.get(pid)?.ticks ?? 0
  return descendantsOf(pid, all).reduce((total, child) => total + (all.get(child)?.ticks ?? 0), own)
}

function readProcesses(): Map<number, Process> {
  const found = new Map<number, Process>()
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
      // After the name in parentheses: state, parent, …; utime, stime, cutime and cstime are fields 14 to 17 of the file.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      const ticks = fields.slice(11, 15).reduce((total, value) => total + Number(value), 0)
      found.set(Number(name), { parent: Number(fields[1]), ticks })
    } catch {
      // The process ended meanwhile.
    }
  }
  return found
}
