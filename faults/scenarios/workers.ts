import type { Scenario } from '../scenario.ts'
import { SECOND, sleep } from '../wait.ts'

/** Workers that die, or that only seem dead. */
export const workers: Scenario[] = [
  {
    name: 'worker-kill',
    what: 'kill -9 of one of two workers',
    quick: true,
    async disturb({ system, random }) {
      await random.pick(system.of('worker')).kill()
    },
  },
  {
    name: 'worker-kill-all',
    what: 'kill -9 of all workers at once',
    async disturb({ system }) {
      await Promise.all(system.of('worker').map((worker) => worker.kill()))
    },
  },
  {
    name: 'worker-kill-repeatedly',
    what: 'kill -9 of a random worker about every second for 30 seconds',
    async disturb({ system, random, quick }) {
      for (let kills = 0; kills < (quick ? 4 : 20); kills += 1) {
        await random.pick(system.of('worker')).kill()
        await sleep((0.5 + random.next()) * SECOND)
      }
    },
  },
  {
    name: 'worker-pause',
    what: 'SIGSTOP of a worker for a minute: it loses its locks and doubles nothing after it continues',
    quick: true,
    async disturb({ system, random, quick }) {
      const worker = random.pick(system.of('worker'))
      worker.pause()
      await sleep((quick ? 13 : 60) * SECOND)
      worker.resume()
    },
  },
]
