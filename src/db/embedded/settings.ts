import { totalmem } from 'node:os'

const MIB = 1024 ** 2
const GIB = 1024 ** 3

/** Settings of the embedded PostgreSQL by name, as its command line takes them. */
export type Settings = Record<string, string>

/** Bytes of memory that this process may use: that of the machine, or the limit of its container (cgroup). */
export function memoryOfMachine(): number {
  const limit = process.constrainedMemory()
  // 0: unknown. Some cgroups have a huge number in place of no limit.
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem()
}

/**
 * Settings for a machine that also runs Node, with full durability.
 * - `shared_buffers`: a quarter of the memory. More than 2 GB made nothing faster. Pages take memory when first used.
 * - `effective_cache_size`: what the planner expects in caches. Node and the system need the other half.
 * - `max_wal_size`: under load, 1 GB of WAL means two checkpoints a minute, and after each one every page is written whole
 *   again. Limited by the free disk space, but not below PostgreSQL's default. `checkpoint_timeout` stays at five minutes, so
 *   recovery after little load is short.
 *
 * `ops.advice` advises users of other servers the same. `wal_buffers` follows `shared_buffers`. Tables that change often have
 * autovacuum settings of their own.
 */
export function settingsFor(memoryBytes: number, freeDiskBytes = Number.POSITIVE_INFINITY): Settings {
  const buffers = between(128 * MIB, memoryBytes / 4, 2 * GIB)
  const wal = between(GIB, Math.min(memoryBytes / 4, freeDiskBytes / 8), 4 * GIB)
  return {
    max_connections: '200',
    shared_buffers: megabytes(buffers),
    effective_cache_size: megabytes(Math.max(buffers, memoryBytes / 2)),
    max_wal_size: megabytes(wal),
    min_wal_size: megabytes(wal / 8),
    random_page_cost: '1.1',
    jit: 'off',
    autovacuum_naptime: '15s',
    idle_in_transaction_session_timeout: '10min',
    track_io_timing: 'on',
    log_checkpoints: 'off',
    timezone: 'UTC',
    log_timezone: 'UTC',
    fsync: 'on',
  }
}

const between = (least: number, value: number, most: number) => Math.min(Math.max(least, value), most)

const megabytes = (bytes: number) => `${Math.floor(bytes / MIB)}MB`
