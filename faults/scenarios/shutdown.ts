import type { Scenario } from '../scenario.ts'
import { SECOND, within } from '../wait.ts'

/** Stops all processes in turn, as a rolling update does. */
export const shutdown: Scenario[] = [
  {
    name: 'shutdown',
    what: 'SIGTERM of each process in turn under load: it ends within 10 s with exit code 0',
    quick: true,
    async disturb({ system, quick, expect, note }) {
      const roles = ['worker', 'push', 'api'] as const
      for (const one of quick ? roles.flatMap((role) => system.of(role).slice(0, 1)) : system.processes) {
        const { code, ms } = await one.terminate()
        note(`${one.name} ended with ${code} after ${(ms / SECOND).toFixed(1)} s`)
        expect(code === 0, `${one.name} ended with ${code}`)
        expect(ms < 10 * SECOND, `${one.name} took ${ms} ms to end`)
        expect(await within(60 * SECOND, () => one.ready()), `${one.name} did not come back`)
      }
    },
  },
]
