import { meter, perUnit } from '../harness/metering.ts'
import { type Bench, inTurn, type Measured, medianOf, quickWorld, type Scenario, target } from '../harness/scenario.ts'
import { withSystem } from '../harness/with-system.ts'
import { likeByWrk } from '../load/wrk.ts'
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
      targets: [
        target('≥ 6 × the usual stack per CPU second', cpu, cpu >= 6),
        target('≥ 4.5 × the usual stack', ratio(usual), ratio(usual) >= 4.5),
      ],
      notes: [
        `${CONNECTIONS} connections, each with one request under way; every like is of another post.`,
        `Against the usual stack with an outbox of its own: ${ratio(usualWithOutbox).toFixed(2)} ×.`,
        `Costs are per like. "lost": answered and not in the database, exact to the ${CONNECTIONS} requests under way at the end.`,
        'The usual stack counts a post’s likes in the transaction of the like; Ravenpost’s worker folds them from the log, and P2 pays for that.',
      ],
    }
  },
}

function measure(bench: Bench, stack: Stack): Promise<Measured> {
  const { quick } = bench
  const world = quick ? quickWorld : { recipients: 1000, likers: 1000, posts: 600_000 }
  return withSystem(bench, stack, world, ['api'], async ({ system }) => {
    const url = system.urlOf('api')
    const asked = { url, connections: CONNECTIONS }
    const warm = await likeByWrk(world, { ...asked, firstPost: 1, seconds: quick ? 1 : 3 })
    const before = await system.counts()
    const costs = await meter(system.databaseUrl, () => system.roots)
    const found = await likeByWrk(world, { ...asked, firstPost: warm.nextPost, seconds: quick ? 1 : 10 })
    const cost = await costs()
    const { likes } = await system.counts()
    const { answered, failed, perSecond, p50, p99, cpuMs } = found
    return {
      'likes/s': perSecond,
      'p50 ms': p50,
      'p99 ms': p99,
      failed,
      lost: Math.max(0, answered - (likes - before.likes)),
      ...perUnit(cost, answered),
      'generator: CPU ms': cpuMs / answered,
    }
  })
}
