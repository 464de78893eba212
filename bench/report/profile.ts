import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import pg from 'pg'

type Node = { id: number; callFrame: { functionName: string; url: string; lineNumber: number }; hitCount: number }
type CpuProfile = { nodes: Node[]; samples: number[]; timeDeltas: number[] }

const root = new URL('../..', import.meta.url).pathname
const TOP = 15
/** Leaves out the time in which modules load and code is compiled. */
const SKIPPED_SECONDS = 4

/** Prints the functions of each process with the most own time, from the profiles that Node wrote to BENCH_PROFILE. */
export async function printProfiles(folder: string): Promise<void> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.cpuprofile'))
  for (const name of names.sort()) {
    const profile: CpuProfile = JSON.parse(await readFile(join(folder, name), 'utf8'))
    console.log(`\n${name}: own time, % of what was not idle\n${ownTimes(profile).join('\n')}`)
  }
  for (const name of (await readdir(folder)).filter((file) => file.endsWith('.statements.txt')))
    console.log(`\n${name}\n${await readFile(join(folder, name), 'utf8')}`)
}

/** Stores the ten slowest statements of PostgreSQL, and the tables read without an index, beside the profiles. */
export async function saveStatements(folder: string, stack: string, databaseUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl })
  await client.connect()
  const { rows } = await client.query<Record<string, string>>(
    `select s.calls, s.total_exec_time::int as ms, s.rows, round(s.wal_bytes / 1024) as wal_kib,
       left(regexp_replace(s.query, '\\s+', ' ', 'g'), 130) as query
     from pg_stat_statements s join pg_database d on d.oid = s.dbid
     where d.datname = current_database() order by s.total_exec_time desc limit 10`,
  )
  const { rows: scans } = await client.query<{ line: string }>(
    `select format('%s sequential scans of %s.%s read %s rows', seq_scan, schemaname, relname, seq_tup_read) as line
     from pg_stat_user_tables where seq_tup_read > 0 order by seq_tup_read desc limit 5`,
  )
  await client.end()
  const lines = rows.map((row) => [row.ms, row.calls, row.rows, row.wal_kib, row.query].map(String).join('\t'))
  await writeFile(
    join(folder, `${stack}.statements.txt`),
    ['ms\tcalls\trows\twal KiB\tquery', ...lines, ...scans.map(({ line }) => line)].join('\n'),
  )
}

function ownTimes({ nodes, samples, timeDeltas }: CpuProfile): string[] {
  const names = new Map(nodes.map((node) => [node.id, nameOf(node)]))
  const times = new Map<string, number>()
  let elapsed = 0
  samples.forEach((id, index) => {
    elapsed += timeDeltas[index] ?? 0
    if (elapsed < SKIPPED_SECONDS * 1e6) return
    const name = names.get(id) ?? '?'
    times.set(name, (times.get(name) ?? 0) + (timeDeltas[index] ?? 0))
  })
  times.delete('(idle)')
  const total = [...times.values()].reduce((sum, time) => sum + time, 0)
  const sorted = [...times].sort(([, a], [, b]) => b - a).slice(0, TOP)
  return sorted.map(([name, time]) => `${((100 * time) / total).toFixed(1).padStart(6)} %  ${name}`)
}

function nameOf({ callFrame: { functionName, url, lineNumber } }: Node): string {
  if (!url) return functionName
  const file = url.startsWith('file:') ? relative(root, new URL(url).pathname) : url
  return `${functionName || '(anonymous)'} ${file}:${lineNumber + 1}`
}
