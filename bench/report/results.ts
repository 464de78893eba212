import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import type { Result } from '../harness/scenario.ts'

export type Report = Result & {
  id: string
  title: string
  command: string
  quick: boolean
  /** The stack had one core and the generator another. */
  pinned: boolean
  /** Number of runs that were repeated because the machine changed. */
  dropped: number
  startedAt: Date | string
  seconds: number
  machine: Record<string, unknown>
}

const folder = new URL('../results/', import.meta.url)

/** Stores the latest result of each scenario. Quick runs and pinned runs are stored separately. */
export async function saveReport(report: Report): Promise<void> {
  await mkdir(folder, { recursive: true })
  const name = `${report.id}${report.pinned ? '.pinned' : ''}${report.quick ? '.quick' : ''}.json`
  await writeFile(new URL(name, folder), `${JSON.stringify(report, null, 2)}\n`)
}

/** Reads the full run if there is one, otherwise the quick one. */
export async function readReports(): Promise<Report[]> {
  await mkdir(folder, { recursive: true })
  const names = (await readdir(folder)).filter((name) => /^(P\d+|[A-Z]+)(\.pinned)?(\.quick)?\.json$/.test(name))
  const reports: Report[] = await Promise.all(
    names.map(async (name) => JSON.parse(await readFile(new URL(name, folder), 'utf8'))),
  )
  const keyOf = ({ id, pinned }: Report) => `${id} ${pinned === true}`
  const full = new Set(reports.filter(({ quick }) => !quick).map(keyOf))
  return reports
    .filter((report) => !report.quick || !full.has(keyOf(report)))
    .sort((a, b) => placeOf(a.id) - placeOf(b.id) || Number(a.pinned) - Number(b.pinned))
}

/** Orders P1 to P13 by number, the others after them. */
function placeOf(id: string): number {
  return /^P\d+$/.test(id) ? Number(id.slice(1)) : 100
}
