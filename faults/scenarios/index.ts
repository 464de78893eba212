import type { Scenario } from '../scenario.ts'
import { SECOND, sleep } from '../wait.ts'
import { api } from './api.ts'
import { clock } from './clock.ts'
import { database } from './database.ts'
import { disk } from './disk.ts'
import { hints } from './hints.ts'
import { largeGroups } from './large-groups.ts'
import { locks } from './locks.ts'
import { network } from './network.ts'
import { push } from './push.ts'
import { scrapes } from './scrapes.ts'
import { shutdown } from './shutdown.ts'
import { switchover } from './switchover.ts'
import { workers } from './workers.ts'

export const scenarios: Scenario[] = [
  ...workers,
  ...api,
  ...push,
  ...database,
  ...switchover,
  ...locks,
  ...largeGroups,
  ...scrapes,
  ...hints,
  ...clock,
  ...disk,
  ...network,
  ...shutdown,
]

/** All other scenarios are compared with this one. */
export const undisturbed: Scenario = {
  name: 'undisturbed',
  what: 'no fault at all',
  disturb: ({ quick }) => sleep((quick ? 2 : 10) * SECOND),
}
