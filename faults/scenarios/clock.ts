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
        await sleep((quick ? (step === 'an hour ahead' ? 6 : 2) : 15) * SECOND)
        const { rows } = await system.pool.query<{ n: string }>('select coalesce(sum(events), 0) as n from ops.lag')
        note(`${step}: ${load.completed - completed} actions meanwhile, ${rows[0]?.n} events unread at its end`)
        expect(Number(rows[0]?.n) < 1000, `events waited after the clock was set ${step}: ${rows[0]?.n}`)
      }
      expect(losses() === before, `${losses() - before} sockets were closed`)
    },
  },
]
