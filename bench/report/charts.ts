import { mkdir, writeFile } from 'node:fs/promises'
import { parse, View } from 'vega'
import { compile, type TopLevelSpec } from 'vega-lite'
import type { Row } from '../harness/scenario.ts'
import type { Report } from './results.ts'

/** One line of a chart: points [x, y] in order of x. */
type Line = { name: string; points: [x: number, y: number][] }
type Chart = { file: string; title: string; x: string; y: string; logX?: boolean; logY?: boolean; lines: Line[] }

const folder = new URL('../../docs/charts/', import.meta.url)

/** Draws the charts of these reports as SVG. Returns the names of the files by scenario. */
export async function drawCharts(reports: Report[]): Promise<Map<string, string[]>> {
  await mkdir(folder, { recursive: true })
  const drawn = new Map<string, string[]>()
  for (const report of reports.filter(({ quick, pinned }) => !quick && !pinned)) {
    const charts = (drawers[report.id]?.(report) ?? []).filter(({ lines }) =>
      lines.some(({ points }) => points.length > 1),
    )
    for (const chart of charts) await writeFile(new URL(chart.file, folder), await toSvg(chart))
    if (charts.length > 0)
      drawn.set(
        report.id,
        charts.map(({ file }) => file),
      )
  }
  return drawn
}

const drawers: Record<string, (report: Report) => Chart[]> = {
  P3: ({ rows }) =>
    ['p50', 'p99'].map((share) => ({
      file: `latency-${share}.svg`,
      title: `From the action's answer to the frame, ${share}`,
      x: "Load, % of the usual stack's knee",
      y: 'ms',
      logY: true,
      lines: rows
        .filter(({ stack }) => !stack.includes('own knee'))
        .map(({ stack, figures }) => ({ name: stack, points: pointsOf(figures, /^at (\d+) %: (p\d+) ms$/, share) })),
    })),
  P4: ({ rows }) => [
    {
      file: 'open-transactions.svg',
      title: 'CPU per notification while a transaction stays open',
      x: 'Share of the phase, %',
      y: 'CPU ms',
      lines: rows.map(({ stack, figures }) => {
        const rounds = figures['CPU ms']?.runs ?? []
        return { name: stack, points: rounds.map((ms, round) => [(100 * round) / rounds.length, ms]) }
      }),
    },
  ],
  P11: ({ rows }) =>
    ['CPU ms per notification', 'like p50 ms'].map((figure, index) => ({
      file: index === 0 ? 'growth-cpu.svg' : 'growth-latency.svg',
      title: `${figure}, by what is stored`,
      x: 'Rows',
      y: 'ms',
      logX: true,
      lines: growthLines(rows, figure),
    })),
}

/** Points from figures whose names contain the x. If the pattern has a second group, it must match `wanted`. */
function pointsOf(figures: Row['figures'], pattern: RegExp, wanted: string): [number, number][] {
  return Object.entries(figures).flatMap(([name, { median }]): [number, number][] => {
    const [, x, found] = pattern.exec(name) ?? []
    return x && found === wanted ? [[Number(x), median]] : []
  })
}

/** A row of P11 is named `events 10,000`. */
function growthLines(rows: Row[], figure: string): Line[] {
  const lines = new Map<string, [number, number][]>()
  for (const { stack, figures } of rows) {
    const [, name = '', size = ''] = /^(.*) ([\d,]+)$/.exec(stack) ?? []
    const value = figures[figure]?.median
    if (value !== undefined) lines.set(name, [...(lines.get(name) ?? []), [Number(size.replaceAll(',', '')), value]])
  }
  return [...lines].map(([name, points]) => ({ name, points }))
}

async function toSvg({ title, x, y, logX = false, logY = false, lines }: Chart): Promise<string> {
  const values = lines.flatMap(({ name, points }) => points.map(([px, py]) => ({ name, x: px, y: py })))
  const spec: TopLevelSpec = {
    title,
    width: 560,
    height: 280,
    background: 'white',
    config: { legend: { labelLimit: 300 } },
    data: { values },
    mark: { type: 'line', point: values.length < 60 },
    encoding: {
      x: { field: 'x', type: 'quantitative', title: x, scale: { type: logX ? 'log' : 'linear' } },
      y: { field: 'y', type: 'quantitative', title: y, scale: logY ? { type: 'log' } : { type: 'linear', zero: true } },
      color: { field: 'name', type: 'nominal', title: null, sort: lines.map(({ name }) => name) },
    },
  }
  const view = new View(parse(compile(spec).spec), { renderer: 'none' })
  return view.toSVG()
}
