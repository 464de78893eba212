import type { Test } from 'tap'
import type { Memory, ServerProcess } from '../server-process.ts'

const HEAP_LIMIT_MIB = 32

/**
 * Measures whether a server grows with the number of requests, sockets or users. Ignores the values before `warmUp`, which fills
 * bounded memory: compiled code, plans, buffers. Only prints the resident memory, because malloc does not return all of it.
 */
export function watchGrowth(t: Test, server: ServerProcess, { warmUp, every }: { warmUp: number; every: number }) {
  const measured: Memory[] = []
  return {
    /** To be called at each multiple of `every`. */
    async measure(n: number): Promise<void> {
      const memory = await server.memory()
      measured.push(memory)
      t.comment(`after ${n}: ${memory.heap.toFixed(1)} MiB are kept, ${memory.rss.toFixed(1)} MiB are resident`)
    },
    check(): void {
      const [first, last] = [measured[warmUp / every - 1], measured.at(-1)]
      if (!first || !last || first === last) {
        t.comment('too few to measure memory')
        return
      }
      t.ok(last.heap - first.heap < HEAP_LIMIT_MIB, `${Math.round(last.heap - first.heap)} MiB more are kept`)
    },
  }
}
