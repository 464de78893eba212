import { findKnee } from '../harness/knee.ts'
import { type Bench, inTurn, type Measured, medianOf, quickWorld, type Scenario, target } from '../harness/scenario.ts'
import { connectAll, warmUp, withSystem } from '../harness/with-system.ts'
import { ravenpost } from '../stacks/ravenpost.ts'
import type { Stack } from '../stacks/stack.ts'
import { usual, usualWithOutbox } from '../stacks/usual.ts'

const SHARES = [25, 50, 75, 90]
export const WARM_UP = 1000
export const world = { recipients: 2000, likers: 1000, posts: 400_000 }
/** Likes per second in place of the knee in quick runs, because finding a knee takes a minute. */
const QUICK_KNEE = 200

export const latency: Scenario = {
  id: 'P3',
  title: 'Latency from the answer of an action to the frame at the client',
  mostRuns: 2,
  async run(bench) {
    const stacks = [ravenpost, usual, usualWithOutbox]
    const knees = new Map<string, number>()
    for (const stack of stacks) {
      knees.set(stack.name, bench.quick ? QUICK_KNEE : await kneeOf(bench, stack))
      if (!bench.quick) bench.say(`  knee of ${stack.name}: ${knees.get(stack.name)} likes/s`)
    }
    const knee = knees.get(usual.name) ?? 0
    const own = { ...ravenpost, name: `${ravenpost.name} at shares of its own knee` }
    const rows = await inTurn(bench, bench.quick ? stacks : [...stacks, own], (stack) =>
      measure(bench, stack, stack === own ? (knees.get(ravenpost.name) ?? 0) : knee),
    )
    const at = (stack: Stack, figure: string) => medianOf(rows, stack.name, `at 50 %: ${figure}`)
    const [p50, p99] = [at(ravenpost, 'p50 ms'), at(ravenpost, 'p99 ms')]
    const quarter = medianOf(rows, ravenpost.name, 'at 25 %: p50 ms')
    const below = at(usualWithOutbox, 'p50 ms') / p50
    return {
      rows,
      targets: [
        target('p50 ≤ 4 ms at half of the usual stack’s knee', p50, p50 <= 4, 'ms'),
        target('p99 ≤ 25 ms', p99, p99 <= 25, 'ms'),
        target('p50 at a quarter of the knee is no higher', quarter, quarter <= p50, 'ms'),
        target('p50 ≥ 5 × below the usual stack with outbox', below, below >= 5),
      ],
      notes: [
        bench.quick
          ? `Quick: nobody's knee was looked for; shares are of ${QUICK_KNEE} likes a second.`
          : `Knees, in likes a second: ${[...knees].map(([name, rate]) => `${name} ${rate}`).join(', ')}. Shares are of the usual stack's, but in the last column.`,
        'Open loop: likes are sent when they are due, whatever the answers take. "since due": from that moment to the frame.',
      ],
    }
  },
}

function worldOf({ quick }: Bench) {
  return quick ? quickWorld : world
}

function kneeOf(bench: Bench, stack: Stack): Promise<number> {
  const world = worldOf(bench)
  return withSystem(bench, stack, world, ['api', 'worker', 'push'], async (given) => {
    await connectAll(given, world)
    await warmUp(given, WARM_UP)
    return (await findKnee(given, { firstPost: WARM_UP + 1, seconds: 5, steps: 4 })).rate
  })
}

function measure(bench: Bench, stack: Stack, knee: number): Promise<Measured> {
  const world = worldOf(bench)
  return withSystem(bench, stack, world, ['api', 'worker', 'push'], async (given) => {
    await connectAll(given, world)
    await warmUp(given, WARM_UP)
    const url = given.system.urlOf('api')
    let post = WARM_UP + 1
    const figures: Measured = { lost: 0, doubled: 0, failed: 0 }
    for (const share of SHARES) {
      const rate = Math.max(10, (knee * share) / 100)
      const sent = await given.load.like({ url, firstPost: post, seconds: bench.quick ? 1 : 5, rate })
      const got = await given.load.expect({ count: sent.answered, withinMs: 120_000 })
      await given.load.reset()
      post = sent.nextPost
      figures[`at ${share} %: p50 ms`] = got.fromAnswer.p50
      figures[`at ${share} %: p99 ms`] = got.fromAnswer.p99
      figures[`at ${share} %: p99 ms since due`] = got.fromSend.p99
      figures.lost = (figures.lost ?? 0) + Math.max(0, sent.answered - got.arrived)
      figures.doubled = (figures.doubled ?? 0) + got.doubled
      figures.failed = (figures.failed ?? 0) + sent.failed
    }
    return figures
  })
}
