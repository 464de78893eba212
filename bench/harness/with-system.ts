import { type Load, startLoad } from '../load/load.ts'
import { pinGenerator, pinStack } from '../machine/pin.ts'
import { saveStatements } from '../report/profile.ts'
import type { Part, Running, Stack } from '../stacks/stack.ts'
import type { World } from '../world.ts'
import type { Bench } from './scenario.ts'

export type System = { system: Running; load: Load }

/** Runs `work` with a stack on a fresh database and with a load generator, and ends both afterwards. */
export async function withSystem<T>(
  { machine }: Bench,
  stack: Stack,
  world: World,
  parts: Part[],
  work: (given: System) => Promise<T>,
): Promise<T> {
  const system = await stack.start(machine, world, parts)
  const load = await startLoad(world, stack.protocol)
  pinStack(system.roots)
  pinGenerator(load.pid)
  try {
    return await work({ system, load })
  } finally {
    const folder = process.env.BENCH_PROFILE
    if (folder) await saveStatements(folder, stack.name, system.databaseUrl)
    await load.stop()
    await system.stop()
  }
}

/** Connects every recipient. Throws with the number of those that failed. */
export async function connectAll({ system, load }: System, world: World): Promise<number> {
  const { ms, closed } = await load.connect({ url: system.urlOf('push'), from: 1, to: world.recipients })
  if (closed > 0) throw new Error(`${closed} of ${world.recipients} sockets were closed while connecting`)
  return ms
}

/** Warms up: dispatches and pushes the likes of these posts before the measurement. */
export async function warmUp({ system, load }: System, posts: number): Promise<void> {
  await system.fill(1, posts)
  const { arrived } = await load.expect({ count: posts, withinMs: 180_000 })
  if (arrived < posts) throw new Error(`only ${arrived} of ${posts} notifications arrived`)
  await load.reset()
}
