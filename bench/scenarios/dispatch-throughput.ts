import { setTimeout as sleep } from 'node:timers/promises'
import { meter, perUnit } from '../harness/metering.ts'
import { type Bench, inTurn, type Measured, medianOf, quickWorld, type Scenario, target } from '../harness/scenario.ts'
import { connectAll, type System, warmUp, withSystem } from '../harness/with-system.ts'
import { ravenpost } from '../stacks/ravenpost.ts'
import type { Stack } from '../stacks/stack.ts'
import { usual } from '../stacks/usual.ts'

export const dispatchThroughput: Scenario = {
  id: 'P2',
  title: 'Events to stored and pushed notifications',
  async run(bench) {
    const rows = await inTurn(bench, [ravenpost, usual], (stack) => measure(bench, stack))
    const own = medianOf(rows, ravenpost.name, 'notifications/s')
    const ratio = own / medianOf(rows, usual.name, 'notifications/s')
    const cpu = medianOf(rows, usual.name, 'CPU ms') / medianOf(rows, ravenpost.name, 'CPU ms')
    return {
      rows,
      targets: [
        target('≥ 7 × the usual stack per CPU second', cpu, cpu >= 7),
        target('≥ 5 × the usual stack', ratio, ratio >= 5),
        target('≥ 20,000 a second', own, own >= 20_000, '/s'),
      ],
      notes: [
        'A backlog of committed events (jobs in Redis for the usual stack) is let go at once; the time ends when the last frame has arrived at its socket. Every client acknowledges.',
        'Costs are per notification delivered.',
      ],
    }
  },
}

function measure(bench: Bench, stack: Stack): Promise<Measured> {
  const [events, warm] = bench.quick ? [4000, 500] : [100_000, 10_000]
  const world = bench.quick ? quickWorld : { recipients: 2000, likers: 1000, posts: events + warm }
  return withSystem(bench, stack, world, ['worker', 'push'], async (given) => {
    await connectAll(given, world)
    await warmUp(given, warm)
    const drained = await drain(given, warm + 1, warm + events)
    const { notifications } = await given.system.counts()
    return { ...drained, 'not stored': warm + events - notifications }
  })
}

/** Releases a backlog of the likes of these posts at once, and measures until the last frame. */
export async function drain({ system, load }: System, firstPost: number, lastPost: number): Promise<Measured> {
  const count = lastPost - firstPost + 1
  const release = await system.hold()
  await system.fill(firstPost, lastPost)
  // Acknowledgements of earlier notifications are stored by then, so they do not count.
  await sleep(500)
  const costs = await meter(system.databaseUrl, () => system.roots)
  const arriving = load.expect({ count, withinMs: 120_000 })
  await release()
  const { arrived, doubled, elapsedMs } = await arriving
  const cost = await costs()
  await load.reset()
  return { 'notifications/s': arrived / (elapsedMs / 1000), lost: count - arrived, doubled, ...perUnit(cost, arrived) }
}
