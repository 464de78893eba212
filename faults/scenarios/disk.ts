import type { Scenario } from '../scenario.ts'
import { mountSmallDisk } from '../system/small-disk.ts'
import type { System } from '../system/system.ts'
import { SECOND, sleep } from '../wait.ts'

/** A disk without a byte left: what is answered must have been stored, and all goes on once there is room. */
export const disk: Scenario[] = [
  {
    name: 'disk-full',
    what: 'the disk of PostgreSQL is full for a quarter of a minute (its own small disk; needs root)',
    disk: mountSmallDisk,
    async disturb({ system, quick, note }) {
      const before = await walBytes(system)
      system.disk?.fill()
      await sleep((quick ? 8 : 15) * SECOND)
      const stopped = !system.postgres.running
      system.disk?.clear()
      // Without room for its log PostgreSQL gives up, and an operator has to start it again.
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
