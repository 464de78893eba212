import { meter, perUnit } from '../harness/metering.ts'
import { type Bench, inTurn, type Measured, medianOf, quickWorld, type Scenario, target } from '../harness/scenario.ts'
import { withSystem } from '../harness/with-system.ts'
import { ravenpost } from '../stacks/ravenpost.ts'
import type { Stack } from '../stacks/stack.ts'
import { usual, usualWithOutbox } from '../stacks/usual.ts'

const CONNECTIONS = 128

export const durableLikes: Scenario = {
  id: 'P1',
  title: 'Durable likes over HTTP, one api process',
  async run(bench) {
    const rows = await inTurn(bench, [ravenpost, usual, usualWithOutbox], (stack) => measure(bench, stack))
    const ratio = (stack: Stack) => medianOf(rows, ravenpost.name, 'likes/s') / medianOf(rows, stack.name, 'likes/s')
    const cpu = medianOf(rows, usual.name, 'CPU ms') / medianOf(rows, ravenpost.name, 'CPU ms')
    return {
      rows,
      targets: [target('≥ 4 × the usual stack', ratio(usual), ratio(usual) >= 4)],
      notes: [
        `${CONNECTIONS} connections, each with one request under way; every like is of another post.`,
        `Against the usual stack with an outbox of its own: ${ratio(usualWithOutbox).toFixed(2)} ×. CPU of the usual stack per like: ${cpu.toFixed(2)} × Ravenpost's.`,
        'Costs are per like. "lost": answered 200 and not in the database.',
        'The usual stack counts a post’s likes in the transaction of the like; Ravenpost’s worker folds them from the log, and P2 pays for that.',
      ],
    }
  },
}

function measure(bench: Bench, stack: Stack): Promise<Measured> {
  const { quick } = bench
  const world = quick ? quickWorld : { recipients: 1000, likers: 1000, posts: 400_000 }
  return withSystem(bench, stack, world, ['api'], async ({ system, load }) => {
    const url = system.urlOf('api')
    const warm = await load.like({ url, firstPost: 1, seconds: quick ? 0.5 : 3, connections: CONNECTIONS })
    const before = await system.counts()
    const costs = await meter(system.databaseUrl, () => system.roots)
    const [firstPost, seconds] = [warm.nextPost, quick ? 1.5 : 10]
    const result = await load.like({ url, firstPost, seconds, connections: CONNECTIONS })
    const cost = await costs()
    const { likes } = await system.counts()
    return {
      'likes/s': result.perSecond,
      'p50 ms': result.latency.p50,
      'p99 ms': result.latency.p99,
      failed: result.failed,
      lost: Math.max(0, result.answered - (likes - before.likes)),
      ...perUnit(cost, result.answered),
    }
  })
}
