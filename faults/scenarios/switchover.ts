import type { Scenario, Stage } from '../scenario.ts'
import { Pair } from '../system/pair.ts'
import { SECOND, sleep, within } from '../wait.ts'

const ROUNDS = 10
const BACK_WITHIN_MS = 30 * SECOND

/** A standby repeatedly takes over from its primary under load. PgBouncer lies between each api and the address that moves. */
export const switchover: Scenario[] = [
  switchOver('answering', 'a standby is promoted while the old primary still answers, ten times'),
  switchOver('stopped', 'the primary crashes and a standby is promoted, ten times'),
]

function switchOver(how: 'answering' | 'stopped', what: string): Scenario {
  return {
    name: `switchover-${how}`,
    what: `${what} (PostgreSQL 15, synchronous replication, PgBouncer before the api)`,
    pair: () => Pair.create(),
    async disturb(stage) {
      const { pair } = stage.system
      if (!pair) throw new Error('the system has no primary and standby')
      const epochs = new Set([await epoch(stage)])
      const rounds = stage.quick ? 1 : ROUNDS
      for (let round = 1; round <= rounds; round += 1) {
        await pair.switchOver(how)
        // All clients reconnect before the next switchover. Each fetches its list again, which takes time on a busy machine.
        await sleep(2 * SECOND)
        await within(BACK_WITHIN_MS, () => stage.clients.every((client) => client.live))
        epochs.add(await epoch(stage))
        if (round < rounds) await pair.repair()
      }
      stage.expect(epochs.size === rounds + 1, `${epochs.size - 1} new epochs after ${rounds} switchovers`)
      const { rows } = await stage.system.pool.query('select max(adopted_id) as id from notify.positions')
      stage.expect(rows[0]?.id === '0', 'a promotion moved positions')
      stage.note(`${rounds} switchovers`)
    },
  }
}

async function epoch({ system }: Stage): Promise<string> {
  for (;;) {
    const found = await system.pool.query('select epoch from notify.installation').catch(() => undefined)
    if (found) return found.rows[0]?.epoch
    await sleep(SECOND / 10)
  }
}
