import type { FoldingClient } from './load/folding-client.ts'
import type { Load } from './load/load.ts'
import type { Random } from './load/random.ts'
import type { World } from './load/world.ts'
import type { Pair } from './system/pair.ts'
import type { PushServices } from './system/push-services.ts'
import type { SmallDisk } from './system/small-disk.ts'
import type { System } from './system/system.ts'

/** What a scenario works with while load and clients run. */
export type Stage = {
  system: System
  world: World
  load: Load
  clients: FoldingClient[]
  /** Draws victims and moments. */
  random: Random
  quick: boolean
  /** Puts something on record that must hold; when it does not, the scenario has failed. */
  expect(holds: boolean, what: string): void
  /** Shown beside the result. */
  note(text: string): void
}

export type Scenario = {
  name: string
  /** One line for `--list`. */
  what: string
  /** Part of `--quick`. */
  quick?: boolean
  /** Connected devices in place of the usual number, one per member; for storms. */
  clients?: number
  /** Makes the disk that PostgreSQL is to have; the scenario runs on a system of its own then. */
  disk?: (folder: string) => Promise<SmallDisk>
  /** Makes the primary and standby that the scenario's own system has. */
  pair?: () => Promise<Pair>
  /** Starts the push services that the scenario's own system has. */
  pushServices?: () => Promise<PushServices>
  /** Breaks things and, unless they heal by themselves, mends them again. Recovery is measured from its end. */
  disturb(stage: Stage): Promise<void>
}
