import { setTimeout as sleep } from 'node:timers/promises'
import { meter, perUnit } from '../harness/metering.ts'
import { type Bench, inTurn, type Measured, medianOf, quickWorld, type Scenario } from '../harness/scenario.ts'
import { withSystem } from '../harness/with-system.ts'
import { postgresQueues } from '../queues/queue.ts'
import { queueHalf } from '../stacks/queue-half.ts'
import { ravenpost } from '../stacks/ravenpost.ts'
import type { Running, Stack } from '../stacks/stack.ts'
import { usual } from '../stacks/usual.ts'

export const queues: Scenario = {
  id: 'QUEUES',
  title: 'Events to stored notifications, nothing pushed: other queues',
  mostRuns: 2,
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
        `A backlog gathers while the one worker, warmed up, stands still (SIGSTOP); measured from its going on to the last stored notification. Ravenpost against each: ${ratios.join(', ')}.`,
      ],
    }
  },
}

function measure(bench: Bench, stack: Stack): Promise<Measured> {
  const [events, warm] = bench.quick ? [3000, 500] : [40_000, 4000]
  const world = bench.quick ? quickWorld : { recipients: 2000, likers: 1000, posts: warm + events }
  return withSystem(bench, stack, world, ['worker'], async ({ system }) => {
    await system.fill(1, warm)
    const { stored: warmed } = await watch(system, warm)
    if (warmed < warm) throw new Error(`${stack.name} stored ${warmed} of ${warm} notifications`)
    const worker = system.parts.get('worker')
    worker?.signal('SIGSTOP')
    await system.fill(warm + 1, warm + events)
    const costs = await meter(system.databaseUrl, () => system.roots)
    const startedAt = performance.now()
    worker?.signal('SIGCONT')
    const { stored, at } = await watch(system, warm + events)
    const cost = await costs()
    const perSecond = ((stored - warm) * 1000) / (at - startedAt)
    return { 'stored/s': perSecond, lost: warm + events - stored, ...perUnit(cost, stored - warm) }
  })
}

/** Checks every 20 ms until this many are stored, or until none was added for a minute. `at`: time at which the last one was found. */
async function watch(system: Running, count: number): Promise<{ stored: number; at: number }> {
  for (let [last, changedAt] = [0, performance.now()]; ; await sleep(20)) {
    const { notifications: stored } = await system.counts()
    const now = performance.now()
    if (stored > last) [last, changedAt] = [stored, now]
    if (stored >= count || now - changedAt > 60_000) return { stored, at: changedAt }
  }
}
