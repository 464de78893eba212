import { setTimeout as sleep } from 'node:timers/promises'
import { startLoad } from '../load/load.ts'
import { ravenpost } from '../stacks/ravenpost.ts'
import type { Stack } from '../stacks/stack.ts'
import { usual } from '../stacks/usual.ts'
import { meter, perUnit } from './metering.ts'
import { type Bench, inTurn, type Measured, medianOf, type Scenario, target } from './scenario.ts'

export const p2: Scenario = {
  id: 'P2',
  title: 'Events to stored and pushed notifications',
  async run(bench) {
    const rows = await inTurn(bench, [ravenpost, usual], (stack) => measure(bench, stack))
    const own = medianOf(rows, ravenpost.name, 'notifications/s')
    const ratio = own / medianOf(rows, usual.name, 'notifications/s')
    return {
      rows,
      targets: [
        target('≥ 5 × the usual stack', ratio, ratio >= 5),
        target('≥ 15,000 a second', own, own >= 15_000, '/s'),
      ],
      notes: [
        'A backlog of committed events (jobs in Redis for the usual stack) is let go at once; the time ends when the last frame has arrived at its socket. Every client acknowledges.',
        'Costs are per notification delivered.',
      ],
    }
  },
}

async function measure({ machine, quick }: Bench, stack: Stack): Promise<Measured> {
  const events = quick ? 15_000 : 150_000
  const warmUp = quick ? 1_000 : 10_000
  const world = { recipients: 2000, likers: 1000, posts: events + warmUp }
  const system = await stack.start(machine, world, ['worker', 'push'])
  const load = await startLoad(world, stack.protocol)
  await load.connect({ url: system.urlOf('push'), from: 1, to: world.recipients })

  await system.fill(1, warmUp)
  const warm = await load.expect({ count: warmUp, withinMs: 30_000 })
  if (warm.arrived < warmUp) throw new Error(`${stack.name}: ${warm.arrived} of ${warmUp} notifications arrived`)
  await load.reset()

  const release = await system.hold()
  await system.fill(warmUp + 1, world.posts)
  // Acknowledgements of the warm-up are stored by now, and belong to nobody's cost.
  await sleep(500)
  const costs = await meter(system.databaseUrl, () => system.roots)
  const arriving = load.expect({ count: events, withinMs: 120_000 })
  await release()
  const { arrived, doubled, elapsedMs } = await arriving
  const cost = await costs()
  const { notifications } = await system.counts()
  await load.stop()
  await system.stop()
  return {
    'notifications/s': arrived / (elapsedMs / 1000),
    lost: events - arrived,
    'not stored': events + warmUp - notifications,
    doubled,
    ...perUnit(cost, arrived),
  }
}
