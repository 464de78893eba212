import { setTimeout as sleep } from 'node:timers/promises'
import { type Bench, inTurn, type Measured, medianOf, quickWorld, type Scenario, target } from '../harness/scenario.ts'
import { withSystem } from '../harness/with-system.ts'
import { residentBytes } from '../machine/cost.ts'
import { ravenpost } from '../stacks/ravenpost.ts'
import type { Stack } from '../stacks/stack.ts'
import { usual } from '../stacks/usual.ts'

const KIB = 1024
/** Sockets opened before the measurement, so that code is compiled and pools are full. */
const FIRST = 200

export const idleSockets: Scenario = {
  id: 'P5',
  title: 'Resident memory per idle socket',
  mostRuns: 3,
  async run(bench) {
    const rows = await inTurn(bench, [ravenpost, usual], (stack) => measure(bench, stack))
    const [own, other] = [ravenpost, usual].map(({ name }) => medianOf(rows, name, 'KiB per socket'))
    if (own === undefined || other === undefined) throw new Error('two stacks were measured')
    return {
      rows,
      targets: [
        target('≤ 6 KiB per socket', own, own <= 6, 'KiB'),
        target('below Socket.IO’s', own / other, own < other),
      ],
      notes: [
        `${socketsOf(bench)} sockets of as many users on one node, said hello, caught up, and idle; the growth of the process since ${FIRST} sockets were open, divided by the sockets added.`,
      ],
    }
  },
}

function socketsOf({ quick }: Bench): number {
  return quick ? quickWorld.recipients : 10_000
}

function measure(bench: Bench, stack: Stack): Promise<Measured> {
  const sockets = socketsOf(bench)
  const world = bench.quick ? quickWorld : { recipients: sockets, likers: 1000, posts: sockets }
  return withSystem(bench, stack, world, ['push'], async ({ system, load }) => {
    const url = system.urlOf('push')
    const pid = system.parts.get('push')?.pid ?? 0
    // V8 returns memory some seconds after its last work.
    const idle = () => sleep(bench.quick ? 500 : 10_000)
    await load.connect({ url, from: 1, to: FIRST })
    await idle()
    const before = residentBytes(pid)
    const { ms, closed } = await load.connect({ url, from: FIRST + 1, to: sockets })
    await idle()
    const after = residentBytes(pid)
    const added = sockets - FIRST - closed
    return {
      'KiB per socket': (after - before) / KIB / added,
      'MiB in all': after / KIB / KIB,
      'sockets/s': (added * 1000) / ms,
      closed,
    }
  })
}
