import type { Task, TaskList } from 'graphile-worker'

/** These limit themselves: dispatching stands ready in one job, and fan-outs run two side by side. */
const SELF_LIMITED = ['dispatch_outbox', 'run_fan_outs']

/**
 * Which jobs run in this process. A task has one job at a time, whatever the number of jobs in the queue: the key of a running
 * job is free, so a slow one is joined by others of its task. One slot is left to dispatching, which waits for no other task.
 */
export class JobShares {
  readonly #slots: number
  readonly #running = new Map<string, number>()

  /** `concurrency`: jobs that this process runs at once. */
  constructor(concurrency: number) {
    this.#slots = Math.max(1, concurrency - 1)
  }

  /** Another job of this task would do nothing. */
  isFull(task: string): boolean {
    if (task === 'dispatch_outbox') return false
    const all = [...this.#running.values()].reduce((sum, count) => sum + count, 0)
    return all >= this.#slots || (!SELF_LIMITED.includes(task) && this.#running.has(task))
  }

  /** Jobs that are one too many end at once. All are hints: what is due is found again by the poll, or the next cron run. */
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
