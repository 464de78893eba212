import { execFileSync } from 'node:child_process'
import { descendantsOf, type Root } from './cost.ts'

/** With `--pinned`, a stack has one core and the generator another, so that neither slows the other down. */
const STACK_CORE = '0'
export const GENERATOR_CORE = '1'

let pinned = false

export function pinEverything(): void {
  pinned = true
}

export function isPinned(): boolean {
  return pinned
}

/** New children and threads of a pinned process are pinned too. */
export function pinStack(roots: Root[]): void {
  for (const { pid } of roots) pin(pid, STACK_CORE)
}

export function pinGenerator(pid: number): void {
  pin(pid, GENERATOR_CORE)
}

function pin(pid: number, core: string): void {
  if (!pinned) return
  for (const each of [pid, ...descendantsOf(pid)]) {
    try {
      execFileSync('taskset', ['-acp', core, String(each)], { stdio: ['ignore', 'ignore', 'pipe'] })
    } catch (error) {
      // The process may have ended meanwhile.
      if (!/No such process/.test(String(error))) throw error
    }
  }
}
