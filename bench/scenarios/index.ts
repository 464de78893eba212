import { p1 } from './p1.ts'
import { p2 } from './p2.ts'
import type { Scenario } from './scenario.ts'

export const scenarios: Scenario[] = [p1, p2]
