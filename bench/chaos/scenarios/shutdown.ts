import type { RoleName } from '../role-process.ts'
import type { Scenario } from '../scenario.ts'
import { SECOND } from '../wait.ts'

/** What a rolling update does: under load, each process ends by itself, in time and with status 0. */
export const shutdown: Scenario[] = (['api', 'worker', 'push'] as const).map(terminate)

function terminate(role: RoleName): Scenario {
  return {
    name: `shutdown-${role}`,
    what: `SIGTERM of each ${role} in turn under load: ends within 10 s with exit code 0`,
    quick: true,
    async disturb({ system, expect, note }) {
      for (const one of system.of(role)) {
        const { code, ms } = await one.terminate()
        note(`${one.name} ended with ${code} after ${(ms / SECOND).toFixed(1)} s`)
        expect(code === 0, `${one.name} ended with ${code}`)
        expect(ms < 10 * SECOND, `${one.name} took ${ms} ms to end`)
      }
    },
  }
}
