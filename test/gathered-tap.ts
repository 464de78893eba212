import type { Test } from 'tap'
import { currentTest } from './gathered.ts'

/** In the place of `tap` for one test file; see gathered.ts. */
const t = currentTest()
export default t
export const test: Test['test'] = t.test
