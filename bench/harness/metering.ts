import pg from 'pg'
import { cpuMs, difference, type Root } from '../machine/cost.ts'
import type { Measured } from './scenario.ts'

export type Costs = { cpu: Record<string, number>; walBytes: number; deadTuples: number }

/** Measures CPU by process and WAL until the returned function is called, and the dead tuples at that time. */
export async function meter(databaseUrl: string, roots: () => Root[]): Promise<() => Promise<Costs>> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  const readWal = async () => String((await client.query('select pg_current_wal_insert_lsn() as lsn')).rows[0].lsn)
  const [walBefore, cpuBefore] = [await readWal(), cpuMs(roots())]
  return async () => {
    const cpu = difference(cpuMs(roots()), cpuBefore)
    const { rows } = await client.query<{ wal: number; dead: number }>(
      `select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), $1::pg_lsn)::float8 as wal,
         (select coalesce(sum(n_dead_tup), 0)::float8 from pg_stat_user_tables) as dead`,
      [walBefore],
    )
    await client.end()
    return { cpu, walBytes: rows[0]?.wal ?? 0, deadTuples: rows[0]?.dead ?? 0 }
  }
}

/** Costs per item: CPU in total and by process, WAL and dead tuples. */
export function perUnit({ cpu, walBytes, deadTuples }: Costs, count: number): Measured {
  const byProcess = Object.entries(cpu).map(([name, ms]) => [`CPU ms of ${name.replace(/^.*-/, '')}`, ms / count])
  const total = Object.values(cpu).reduce((all, ms) => all + ms, 0)
  return {
    'per CPU second': (1000 * count) / total,
    'CPU ms': total / count,
    ...Object.fromEntries(byProcess),
    'WAL bytes': walBytes / count,
    'dead tuples': deadTuples / count,
  }
}
