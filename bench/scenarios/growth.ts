import type { Past } from '../../faults/past.ts'
import {
  type Bench,
  describe,
  type Measured,
  type Row,
  type Scenario,
  target,
  toRows,
  undisturbed,
} from '../harness/scenario.ts'
import { connectAll, warmUp, withSystem } from '../harness/with-system.ts'
import { dropTemplates } from '../stacks/database.ts'
import { ravenpost } from '../stacks/ravenpost.ts'
import { drain } from './dispatch-throughput.ts'

const KINDS = ['events', 'notifications'] as const
const WARM_UP = 2000
const EVENTS = 20_000
/** Likes per second, far below the knee. */
const RATE = 100

/** Both kinds begin with the smallest past. */
type Size = { names: string[]; past: Past }

export const growth: Scenario = {
  id: 'P11',
  title: 'Costs on databases with more and more behind them',
  checkedBy: 'test/past bounds the pages that each statement reads on a database with a past',
  mostRuns: 1,
  async run(bench) {
    const found = new Map<string, Measured[]>()
    for (const { names, past } of sizesOf(bench)) {
      const measured = await undisturbed(bench, () => measure(bench, past))
      for (const name of names) found.set(name, [measured])
      bench.say(`  ${names.join(', ')}: ${describe(measured)}`)
      await dropTemplates(bench.machine)
    }
    const rows = toRows(found)
    return {
      rows,
      targets: ['CPU ms per notification', 'like p50 ms'].flatMap((figure) =>
        KINDS.map((kind) => {
          const ratio = growthOf(rows, kind, figure)
          return target(`${figure}: ≤ 1.2 × from the fewest to the most ${kind}`, ratio, ratio <= 1.2)
        }),
      ),
      notes: [
        `Events: processed ones in the current partition of the log. Notifications: stored ones with a source each, 50 to a user, so that users grow with them. A backlog of ${EVENTS.toLocaleString('en')} likes for the CPU, then ${RATE} likes a second for the time from the answer to the frame.`,
      ],
    }
  },
}

function sizesOf({ quick }: Bench): Size[] {
  const [least = 0, ...larger] = quick ? [1000, 20_000] : [10_000, 1_000_000, 10_000_000]
  const smallest = { events: least, notifications: least }
  const nameOf = (kind: string, size: number) => `${kind} ${size.toLocaleString('en')}`
  return [
    { names: KINDS.map((kind) => nameOf(kind, least)), past: smallest },
    ...KINDS.flatMap((kind) =>
      larger.map((size) => ({ names: [nameOf(kind, size)], past: { ...smallest, [kind]: size } })),
    ),
  ]
}

function growthOf(rows: Row[], kind: string, figure: string): number {
  const values = rows.filter(({ stack }) => stack.startsWith(kind)).map(({ figures }) => figures[figure]?.median)
  return (values.at(-1) ?? Number.NaN) / (values[0] ?? Number.NaN)
}

function measure(bench: Bench, past: Past): Promise<Measured> {
  const seconds = bench.quick ? 2 : 20
  const events = bench.quick ? 2000 : EVENTS
  const world = { recipients: 1000, likers: 1000, posts: WARM_UP + events + RATE * seconds }
  const given = { ...bench, machine: { ...bench.machine, past } }
  return withSystem(given, ravenpost, world, ['api', 'worker', 'push'], async (system) => {
    await connectAll(system, world)
    await warmUp(system, WARM_UP)
    const drained = await drain(system, WARM_UP + 1, WARM_UP + events)
    const firstPost = WARM_UP + events + 1
    const sent = await system.load.like({ url: system.system.urlOf('api'), firstPost, seconds, rate: RATE })
    const got = await system.load.expect({ count: sent.answered, withinMs: 60_000 })
    return {
      'CPU ms per notification': drained['CPU ms'] ?? Number.NaN,
      'like p50 ms': got.fromAnswer.p50,
      'like p99 ms': got.fromAnswer.p99,
      lost: (drained.lost ?? 0) + sent.answered - got.arrived,
      doubled: (drained.doubled ?? 0) + got.doubled,
    }
  })
}
