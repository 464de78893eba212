import type { Scenario } from '../scenario.ts'
import { SECOND, sleep } from '../wait.ts'

export const clock: Scenario[] = [
  {
    name: 'clock-step',
    what: 'the clocks of all processes jump an hour ahead, an hour back, and to the right time: no client is disconnected',
    quick: true,
    async disturb({ system, load, clients, quick, note, expect }) {
      const losses = () => clients.reduce((sum, client) => sum + client.losses, 0)
      const before = losses()
      for (const step of ['an hour ahead', 'an hour back', 'to the right time']) {
        for (const one of system.processes) one.stepClock()
        const completed = load.completed
        // A sweep of the push nodes, every 5 s, falls into the first step.
        const seconds = quick ? (step === 'an hour ahead' ? 6 : 4) : 15
        await sleep(seconds * SECOND)
        const { rows } = await system.pool.query<{ n: string; age: number }>(
          'select sum(events) as n, coalesce(extract(epoch from max(age)), 0)::float8 as age from ops.lag',
        )
        const [{ n, age } = { n: '0', age: 0 }] = rows
        note(`${step}: ${load.completed - completed} actions meanwhile, ${n} events unread at its end`)
        expect(age < seconds / 2, `an event waited for ${age.toFixed(1)} s after the clock was set ${step}`)
      }
      expect(losses() === before, `${losses() - before} sockets were closed`)
    },
  },
]
