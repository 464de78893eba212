import type { Test } from 'tap'
import type { Memory, ServerProcess } from '../server-process.ts'

const HEAP_LIMIT_MIB = 32

/**
 * Measures a server that is sent ever more. What comes before `warmUp` fills what has a bound: compiled code, plans, the
 * connections' buffers; what is kept for each request, socket or user shows in the rest. Resident
 * memory is shown and not judged: malloc keeps what it likes of it.
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
