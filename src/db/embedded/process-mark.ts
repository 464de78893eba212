import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/**
 * Distinguishes a process from a later one with the same id: its start time, and the boot of the machine. Undefined
 * when the process does not exist.
 */
export function processMark(pid: number): string | undefined {
  if (process.platform !== 'linux') return fromPs(pid, 'lstart')
  const stat = fromProc(pid, 'stat')
  // The name in parentheses may contain spaces. State and parent follow it; the start time is field 22 of the file.
  const [state, ...fields] = stat?.slice(stat.lastIndexOf(')') + 2).split(' ') ?? []
  if (state === undefined || state === 'Z' || state === 'X') return undefined
  return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${fields[18]}`
}

/** The arguments of a live process, as one text; undefined when there is no such process. */
export function processArguments(pid: number): string | undefined {
  if (process.platform !== 'linux') return fromPs(pid, 'command')
  return fromProc(pid, 'cmdline')?.replaceAll('\0', ' ') || undefined
}

function fromProc(pid: number, file: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch {
    return undefined
  }
}

function fromPs(pid: number, column: string): string | undefined {
  return spawnSync('ps', ['-o', `${column}=`, '-p', String(pid)], { encoding: 'utf8' }).stdout?.trim() || undefined
}
