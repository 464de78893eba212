import { startLoad } from '../load/load.ts'
import { ravenpost } from '../stacks/ravenpost.ts'
import type { Stack } from '../stacks/stack.ts'
import { usual, usualWithOutbox } from '../stacks/usual.ts'
import { meter, perUnit } from './metering.ts'
import { type Bench, inTurn, type Measured, medianOf, type Scenario, target } from './scenario.ts'

const CONNECTIONS = 128

export const p1: Scenario = {
  id: 'P1',
  title: 'Durable likes over HTTP, one api process',
  async run(bench) {
    const rows = await inTurn(bench, [ravenpost, usual, usualWithOutbox], (stack) => measure(bench, stack))
    const ratio = (stack: Stack) => medianOf(rows, ravenpost.name, 'likes/s') / medianOf(rows, stack.name, 'likes/s')
    return {
      rows,
      targets: [target('≥ 4 × the usual stack', ratio(usual), ratio(usual) >= 4)],
      notes: [
        `${CONNECTIONS} connections, each with one request under way; every like is of another post.`,
        `Against the usual stack with an outbox of its own: ${ratio(usualWithOutbox).toFixed(2)} ×.`,
        'Costs are per like. "lost": answered 200 and not in the database.',
      ],
    }
  },
}

async function measure({ machine, quick }: Bench, stack: Stack): Promise<Measured> {
  const world = { recipients: 1000, likers: 1000, posts: quick ? 60_000 : 400_000 }
  const system = await stack.start(machine, world, ['api'])
  const load = await startLoad(world, stack.protocol)
  const url = system.urlOf('api')
  const warm = await load.like({ url, firstPost: 1, seconds: quick ? 0.5 : 3, connections: CONNECTIONS })
  const before = await system.counts()
  const costs = await meter(system.databaseUrl, () => system.roots)
  const result = await load.like({ url, firstPost: warm.nextPost, seconds: quick ? 1.5 : 10, connections: CONNECTIONS })
  const cost = await costs()
  const { likes } = await system.counts()
  await load.stop()
  await system.stop()
  return {
    'likes/s': result.perSecond,
    'p50 ms': result.latency.p50,
    'p99 ms': result.latency.p99,
    failed: result.failed,
    lost: result.answered - (likes - before.likes),
    ...perUnit(cost, result.answered),
  }
}
