import { setTimeout as sleep } from 'node:timers/promises'
import { postgresQueues } from '../queues/queue.ts'
import { queueHalf } from '../stacks/queue-half.ts'
import { ravenpost } from '../stacks/ravenpost.ts'
import type { Running, Stack } from '../stacks/stack.ts'
import { usual } from '../stacks/usual.ts'
import { meter, perUnit } from './metering.ts'
import { type Bench, inTurn, type Measured, medianOf, type Scenario } from './scenario.ts'
import { withSystem } from './with-system.ts'

export const queues: Scenario = {
  id: 'QUEUES',
  title: 'Events to stored notifications, nothing pushed: other queues',
  mostRuns: 3,
  async run(bench) {
    const others = postgresQueues.map(queueHalf)
    const bull = { ...usual, name: 'BullMQ on Redis' }
    const rows = await inTurn(bench, [ravenpost, bull, ...others], (stack) => measure(bench, stack))
    const own = medianOf(rows, ravenpost.name, 'stored/s')
    const ratios = [bull, ...others].map(
      ({ name }) => `${name} ${(own / medianOf(rows, name, 'stored/s')).toFixed(2)} ×`,
    )
    return {
      rows,
      targets: [],
      notes: [
        `A backlog is there when the one worker starts; measured from the first stored notifications to the last. Ravenpost against each: ${ratios.join(', ')}.`,
      ],
    }
  },
}

function measure(bench: Bench, stack: Stack): Promise<Measured> {
  const events = bench.quick ? 5000 : 40_000
  const world = { recipients: 2000, likers: 1000, posts: events }
  return withSystem(bench, stack, world, [], async ({ system }) => {
    await system.fill(1, events)
    const costs = await meter(system.databaseUrl, () => system.roots)
    await system.restart('worker')
    const { perSecond, stored } = await watch(system, events)
    return { 'stored/s': perSecond, lost: events - stored, ...perUnit(await costs(), stored) }
  })
}

/** Looks every 50 ms until all are stored, or nothing was added for ten seconds. */
async function watch(system: Running, events: number): Promise<{ perSecond: number; stored: number }> {
  let first: { at: number; stored: number } | undefined
  for (let [last, changedAt] = [0, performance.now()]; ; await sleep(50)) {
    const { notifications: stored } = await system.counts()
    const at = performance.now()
    if (stored > last) [last, changedAt] = [stored, at]
    if (stored > 0) first ??= { at, stored }
    if (stored >= events || at - changedAt > 10_000) {
      const start = first ?? { at, stored }
      return { perSecond: ((stored - start.stored) * 1000) / (changedAt - start.at), stored }
    }
  }
}
