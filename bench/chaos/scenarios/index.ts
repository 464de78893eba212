import type { Scenario } from '../scenario.ts'
import { SECOND, sleep } from '../wait.ts'
import { workers } from './workers.ts'

export const scenarios: Scenario[] = [...workers]

/** What every other scenario is measured against. */
export const undisturbed: Scenario = {
  name: 'undisturbed',
  what: 'no fault at all',
  disturb: ({ quick }) => sleep((quick ? 3 : 10) * SECOND),
}
