import type { Scenario } from '../scenario.ts'
import { mountSmallDisk } from '../system/small-disk.ts'
import type { System } from '../system/system.ts'
import { SECOND, sleep } from '../wait.ts'

/** A full disk: confirmed actions must be stored, and everything continues once there is space. */
export const disk: Scenario[] = [
  {
    name: 'disk-full',
    what: 'the disk of PostgreSQL is full for 15 seconds (a small disk of its own; needs root)',
    disk: mountSmallDisk,
    async disturb({ system, quick, note }) {
      const before = await walBytes(system)
      system.disk?.fill()
      await sleep((quick ? 8 : 15) * SECOND)
      const stopped = !system.postgres.running
      system.disk?.clear()
      // PostgreSQL stops when it cannot write its log. Then an operator must start it again.
      if (stopped) await system.postgres.start()
      note(
        `PostgreSQL ${stopped ? 'had stopped' : `went on and wrote ${(await walBytes(system)) - before} bytes of log`}`,
      )
    },
  },
]

async function walBytes({ pool }: System): Promise<number> {
  const { rows } = await pool.query<{ bytes: number }>(
    `select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8 as bytes`,
  )
  return rows[0]?.bytes ?? 0
}
