import { hostname } from 'node:os'
import { repeat } from '../base/pulse.ts'
import { watchHeldLocks } from '../ops/held-locks.ts'
import type { Engine } from './context.ts'

/** Seconds without a heartbeat after which a worker counts as dead and its jobs are unlocked. */
const SILENT_SECONDS = 10

/**
 * Writes the heartbeat of this process and unlocks jobs of dead workers, for which graphile-worker would wait four hours.
 * Unlocking a slow worker does no harm: jobs are hints, and row locks protect their work. Also reports locks that are held for
 * long.
 */
export function startSweep(engine: Engine, workerIds: string[]): { close(): Promise<void> } {
  const { pool, log, config } = engine
  const lookForHeldLocks = watchHeldLocks(pool, log)
  const sweep = repeat(config.sweepIntervalMs, log, 'the sweep', async () => {
    const { rows } = await pool.query<{ workers: string[] | null }>({
      name: 'worker_heartbeat',
      text: beatAndUnlock,
      values: [workerIds, hostname(), process.pid],
    })
    if (rows[0]?.workers) log.warn({ workers: rows[0].workers }, 'unlocked the jobs of workers that stopped responding')
    await lookForHeldLocks()
  })
  return {
    async close() {
      await sweep.close()
      await pool.query('delete from notify.workers where worker_id = any($1::text[])', [workerIds])
    },
  }
}

const isSilent = `beat_at < now() - interval '${SILENT_SECONDS} seconds'`

const beatAndUnlock = `
  with beat as (
    insert into notify.workers (worker_id, host, pid) select w, $2, $3 from unnest($1::text[]) w
    on conflict (worker_id) do update set beat_at = now()
  ), dead as (
    delete from notify.workers where worker_id in (
      select worker_id from notify.workers where ${isSilent} and worker_id <> all($1::text[]) for update skip locked)
    returning worker_id
  ), names as (select array_agg(worker_id) as workers from dead)
  select workers, graphile_worker.force_unlock_workers(workers) from names where workers is not null`

/** SQL: whether these are ids of the first of the workers with a heartbeat, or none has one. */
export function isFirstWorker(ids: string): string {
  return `coalesce((select min(worker_id) from notify.workers where not ${isSilent}) = any(${ids}), true)`
}
