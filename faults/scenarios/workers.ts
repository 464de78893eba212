import type { Scenario } from '../scenario.ts'
import { SECOND, sleep } from '../wait.ts'

/** What is left undone by a worker that is gone, or only seems to be. */
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
    what: 'kill -9 of a worker drawn at random, every second or so for half a minute',
    async disturb({ system, random, quick }) {
      for (let kills = 0; kills < (quick ? 4 : 20); kills += 1) {
        await random.pick(system.of('worker')).kill()
        await sleep((0.5 + random.next()) * SECOND)
      }
    },
  },
  {
    name: 'worker-pause',
    what: 'SIGSTOP of a worker for a minute: it loses its locks, and doubles nothing when it wakes',
    quick: true,
    async disturb({ system, random, quick }) {
      const worker = random.pick(system.of('worker'))
      worker.pause()
      await sleep((quick ? 13 : 60) * SECOND)
      worker.resume()
    },
  },
]
