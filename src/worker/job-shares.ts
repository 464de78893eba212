import type { Task, TaskList } from 'graphile-worker'

/**
 * Tasks without a limit here, because they limit themselves: one dispatch job listens, and two fan-outs run in
 * parallel.
 */
const SELF_LIMITED = ['dispatch_outbox', 'run_fan_outs']

/**
 * Limits the jobs of this process to one per task. Without it, a slow task takes several slots, because a new job can be queued
 * while one runs. Leaves one slot for dispatching, so that it never waits for other tasks.
 */
export class JobShares {
  readonly #slots: number
  readonly #running = new Map<string, number>()

  /** `concurrency`: maximum number of jobs in this process. */
  constructor(concurrency: number) {
    this.#slots = Math.max(1, concurrency - 1)
  }

  /** True if another job of this task would end at once. */
  isFull(task: string): boolean {
    if (task === 'dispatch_outbox') return false
    const all = [...this.#running.values()].reduce((sum, count) => sum + count, 0)
    return all >= this.#slots || (!SELF_LIMITED.includes(task) && this.#running.has(task))
  }

  /** A surplus job ends at once. Jobs are hints: the poll or the next cron run finds the work again. */
  limit(tasks: TaskList): TaskList {
    return Object.fromEntries(Object.entries(tasks).map(([name, task]) => [name, task && this.#limited(name, task)]))
  }

  #limited(name: string, task: Task): Task {
    if (name === 'dispatch_outbox') return task
    return async (payload, helpers) => {
      if (this.isFull(name)) return
      this.#running.set(name, (this.#running.get(name) ?? 0) + 1)
      try {
        await task(payload, helpers)
      } finally {
        const left = (this.#running.get(name) ?? 0) - 1
        if (left > 0) this.#running.set(name, left)
        else this.#running.delete(name)
      }
    }
  }
}
