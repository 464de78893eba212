import type { FoldingClient } from './load/folding-client.ts'
import type { Load } from './load/load.ts'
import type { Random } from './load/random.ts'
import type { World } from './load/world.ts'
import type { Pair } from './system/pair.ts'
import type { PushServices } from './system/push-services.ts'
import type { SmallDisk } from './system/small-disk.ts'
import type { System } from './system/system.ts'

/** Services of a scenario while load and clients run. */
export type Stage = {
  system: System
  world: World
  load: Load
  clients: FoldingClient[]
  /** Chooses targets and times. */
  random: Random
  quick: boolean
  /** Records a condition. The scenario fails when it is false. */
  expect(holds: boolean, what: string): void
  /** Adds a note to the result. */
  note(text: string): void
}

export type Scenario = {
  name: string
  /** One line for `--list` and docs/faults.md. */
  what: string
  /** Also runs with `--quick`. */
  quick?: boolean
  /** Names the test that checks the same on each change. `--quick` prints it instead of running the scenario. */
  checkedBy?: string
  /** Number of connected devices, for storms; by default one per member. */
  clients?: number
  /** Makes a disk for PostgreSQL. The scenario then runs on its own system. */
  disk?: (folder: string) => Promise<SmallDisk>
  /** Makes a primary and a standby for the scenario's own system. */
  pair?: () => Promise<Pair>
  /** Starts push services for the scenario's own system. */
  pushServices?: () => Promise<PushServices>
  /** Causes the fault, and repairs it unless the system does so itself. Recovery is measured from its end. */
  disturb(stage: Stage): Promise<void>
}
