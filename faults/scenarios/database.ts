import type { Scenario, Stage } from '../scenario.ts'
import type { Stop } from '../system/postgres.ts'
import { SECOND, sleep } from '../wait.ts'

/** Restarts of PostgreSQL, and connections that its administrator ends. */
export const database: Scenario[] = [
  restart('fast', 'PostgreSQL restarts (fast mode): it rolls back open transactions', true),
  restart('immediate', 'PostgreSQL restarts (immediate mode): it recovers from its log'),
  restart('kill', 'kill -9 of the postmaster'),
  {
    name: 'database-terminate-any',
    what: 'a random connection is terminated, ten times a second for a minute',
    quick: true,
    disturb: (stage) => terminate(stage, `application_name like 'ravenpost%'`, stage.quick ? 4 : 60, 100),
  },
  {
    name: 'database-terminate-listen',
    what: 'only the LISTEN connections are terminated, twice a second',
    async disturb(stage) {
      await terminate(stage, `application_name = 'ravenpost listen'`, stage.quick ? 4 : 30, 500)
    },
  },
]

function restart(how: Stop, what: string, quick = false): Scenario {
  return {
    name: `database-${how}`,
    what,
    quick,
    async disturb({ system }) {
      await system.postgres.stop(how)
      await sleep(SECOND / 2)
      await system.postgres.start()
    },
  }
}

async function terminate(
  { system, random, note }: Stage,
  which: string,
  seconds: number,
  everyMs: number,
): Promise<void> {
  const until = performance.now() + seconds * SECOND
  let ended = 0
  while (performance.now() < until) {
    const { rowCount } = await system.pool.query(
      `select pg_terminate_backend(pid) from pg_stat_activity
       where ${which} and datname = current_database() order by md5(pid::text || $1) limit 1`,
      [String(random.next())],
    )
    ended += rowCount ?? 0
    await sleep(everyMs)
  }
  note(`${ended} backends terminated`)
}
